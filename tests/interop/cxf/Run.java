import jakarta.xml.ws.BindingProvider;
import java.util.Map;
import javax.xml.namespace.QName;
import org.apache.cxf.BusFactory;
import org.apache.cxf.endpoint.Client;
import org.apache.cxf.frontend.ClientProxy;
import org.apache.cxf.jaxws.JaxWsProxyFactoryBean;
import org.apache.cxf.jaxws.endpoint.dynamic.JaxWsDynamicClientFactory;
import org.apache.cxf.message.Message;
import org.apache.cxf.transport.http.HTTPConduit;
import org.apache.cxf.ws.addressing.WSAddressingFeature;
import org.apache.cxf.ws.rm.RMManager;
import org.apache.cxf.ws.rm.feature.RMFeature;
import org.apache.cxf.ws.rm.manager.SequenceTerminationPolicyType;
import org.apache.cxf.ws.rm.manager.SourcePolicyType;

/** Run MODE BASE-URL [CALLS [CALLBACK-URL]]; MODE = session | rm10 | rm11 | sc-sign | sc-encrypt | sc-tls | wsdl. Exits 0 only when the counter
 *  ran 1, 2, 3, ... With CALLBACK-URL the client listens there and answers come over connections the node opens, not in the HTTP response.
 *  With wsdl, BASE-URL is that of a WSDL, and nothing else is known of the service. -Dgap=MILLISECONDS waits between
 *  calls. */
public class Run {
    public static void main(String[] a) throws Exception {
        String mode = a[0], base = a[1];
        int calls = a.length > 2 ? Integer.parseInt(a[2]) : 5, bad = 0;
        if (mode.equals("wsdl")) {
            System.exit(fromWsdl(base, calls));
        }
        JaxWsProxyFactoryBean f = new JaxWsProxyFactoryBean();
        f.setServiceClass(Counter.class);
        f.setAddress(base + "/" + (mode.startsWith("rm") ? "rm" : mode));
        if (mode.startsWith("rm")) {
            f.getFeatures().add(new WSAddressingFeature());
            f.getFeatures().add(rm(calls));
            f.setProperties(new java.util.HashMap<>(Map.of(
                RMManager.WSRM_VERSION_PROPERTY, mode.equals("rm10")
                    ? "http://schemas.xmlsoap.org/ws/2005/02/rm" : "http://docs.oasis-open.org/ws-rx/wsrm/200702",
                RMManager.WSRM_WSA_VERSION_PROPERTY, mode.equals("rm10")
                    ? "http://schemas.xmlsoap.org/ws/2004/08/addressing" : "http://www.w3.org/2005/08/addressing")));
        }
        if (mode.startsWith("sc-")) {
            f.getFeatures().add(Secure.policy(BusFactory.getDefaultBus(), mode));
            f.setProperties(Secure.properties("client", "server"));
        }
        Counter c = (Counter) f.create();
        Map<String, Object> ctx = ((BindingProvider) c).getRequestContext();
        ctx.put(BindingProvider.SESSION_MAINTAIN_PROPERTY, true);
        if (a.length > 3) {
            ((HTTPConduit) ClientProxy.getClient(c).getConduit()).getClient().setDecoupledEndpoint(a[3]);
        }
        for (int i = 1; i <= calls; i++) {
            if (i > 1) System.in.read();      // a test may hold it here
            if (i > 1) Thread.sleep(Integer.getInteger("gap", 0));
            try {
                int n = c.increment();
                System.out.println("call " + i + " -> " + n);
                if (n != i) bad++;
            } catch (Exception e) {
                System.out.println("call " + i + " failed: " + e);
                bad++;
            }
        }
        ((java.io.Closeable) c).close();
        BusFactory.getDefaultBus().shutdown(true);
        System.exit(bad == 0 ? 0 : 1);
    }

    /** The counter, by a client that CXF makes from the WSDL. */
    private static int fromWsdl(String wsdl, int calls) throws Exception {
        Client client = JaxWsDynamicClientFactory.newInstance().createClient(wsdl);
        client.getRequestContext().put(Message.MAINTAIN_SESSION, true);
        QName increment = new QName("urn:lab:counter", "increment");
        int bad = 0;
        for (int i = 1; i <= calls; i++) {
            if (i > 1) System.in.read();
            try {
                Object n = client.invoke(increment)[0];
                System.out.println("call " + i + " -> " + n);
                if (!n.equals(i)) bad++;
            } catch (Exception e) {
                System.out.println("call " + i + " failed: " + e);
                bad++;
            }
        }
        return bad == 0 ? 0 : 1;
    }

    /** After this many messages CXF marks the last one and sends TerminateSequence; by default it never does. */
    static RMFeature rm(int messages) {
        SequenceTerminationPolicyType end = new SequenceTerminationPolicyType();
        end.setMaxLength(messages);
        SourcePolicyType source = new SourcePolicyType();
        source.setSequenceTerminationPolicy(end);
        RMFeature rm = new RMFeature();
        rm.setSourcePolicy(source);
        return rm;
    }
}
