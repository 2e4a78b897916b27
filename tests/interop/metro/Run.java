import com.sun.xml.ws.rx.rm.api.ReliableMessagingFeatureBuilder;
import com.sun.xml.ws.rx.rm.api.RmProtocolVersion;
import jakarta.xml.ws.BindingProvider;
import jakarta.xml.ws.Service;
import jakarta.xml.ws.soap.AddressingFeature;
import jakarta.xml.ws.wsaddressing.W3CEndpointReference;
import java.net.URL;
import javax.xml.namespace.QName;

/** Run MODE BASE-URL [CALLS]; MODE = stateful | stateful-follow | session | rm10 | rm11.
 *  stateful keeps to BASE-URL, stateful-follow goes where the endpoint reference says. Exits 0 only when the counter ran 1, 2, 3, ... */
public class Run {
    static final String NS = "urn:lab:counter";

    public static void main(String[] a) throws Exception {
        String mode = a[0], base = a[1];
        int calls = a.length > 2 ? Integer.parseInt(a[2]) : 5, bad = 0;
        boolean stateful = mode.startsWith("stateful");
        Counter c;
        if (stateful) {
            Store store = at(Service.create(new URL(base + "/store?wsdl"), new QName(NS, "StoreService")).getPort(Store.class), base + "/store");
            W3CEndpointReference epr = store.open();
            System.out.println(epr);
            c = Service.create(new URL(base + "/counter?wsdl"), new QName(NS, "CounterService"))
                .getPort(epr, Counter.class, new AddressingFeature());
            if (mode.equals("stateful")) at(c, base + "/counter");
        } else {
            boolean rm = mode.startsWith("rm");
            Service service = Service.create(new URL(base + "/" + mode + "?wsdl"), new QName(NS, rm ? "Rm" + mode.substring(2) + "Service" : "CounterService"));
            c = rm ? service.getPort(Counter.class, new AddressingFeature(), new ReliableMessagingFeatureBuilder(
                        mode.equals("rm10") ? RmProtocolVersion.WSRM200502 : RmProtocolVersion.WSRM200702).build())
                   : service.getPort(Counter.class);
            at(c, base + "/" + mode);
        }
        ((BindingProvider) c).getRequestContext().put(BindingProvider.SESSION_MAINTAIN_PROPERTY, true);
        for (int i = 1; i <= calls; i++) {
            if (i > 1) System.in.read();      // a test may hold it here
            try {
                int n = c.increment();
                System.out.println("call " + i + " -> " + n);
                if (n != i) bad++;
            } catch (Exception e) {
                System.out.println("call " + i + " failed: " + e);
                bad++;
            }
        }
        ((java.io.Closeable) c).close();       // ends an RM sequence
        System.exit(bad == 0 ? 0 : 1);
    }

    static <T> T at(T port, String address) {
        ((BindingProvider) port).getRequestContext().put(BindingProvider.ENDPOINT_ADDRESS_PROPERTY, address);
        return port;
    }
}
