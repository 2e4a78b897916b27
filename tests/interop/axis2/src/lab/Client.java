package lab;

import java.util.LinkedHashMap;
import java.util.Map;
import javax.xml.namespace.QName;
import org.apache.axiom.om.OMAbstractFactory;
import org.apache.axiom.om.OMElement;
import org.apache.axiom.om.OMFactory;
import org.apache.axiom.om.OMNamespace;
import org.apache.axiom.soap.SOAP12Constants;
import org.apache.axis2.AxisFault;
import org.apache.axis2.addressing.EndpointReference;
import org.apache.axis2.client.Options;
import org.apache.axis2.client.ServiceClient;
import org.apache.axis2.context.ConfigurationContext;
import org.apache.axis2.context.ConfigurationContextFactory;

/**
 * usage: Client REPOSITORY URL CALLS [name=value...]
 * soap=11|12  wsa=200508|200408|off  chunked=true|false  mtom=true  gzip=true  gap=ms between calls  new=true: a new client per call
 * dual=PORT: separate listener, front=http://host:port/ its public URL  op=next|fail  cookie=NAME (customCookieID)  replyto=true  rm=10|11: WS-RM by Sandesha2
 * Before each call but the first it reads one byte from its input, where a test may hold it; the end of input holds nothing.
 * Prints one line a call; exit 0 only if the answers were 1, 2, 3, ...
 */
public class Client {
    public static void main(String[] a) throws Exception {
        Map<String, String> o = new LinkedHashMap<String, String>();
        for (int i = 3; i < a.length; i++) o.put(a[i].split("=", 2)[0], a[i].split("=", 2)[1]);
        ConfigurationContext cc = ConfigurationContextFactory.createConfigurationContextFromFileSystem(a[0], null);
        if (o.containsKey("dual")) { // port of the reply listener
            cc.getAxisConfiguration().getTransportIn("http").getParameter("port").setValue(o.get("dual"));
            if (o.containsKey("front")) cc.getAxisConfiguration().addParameter("httpFrontendHostUrl", o.get("front"));
        }
        boolean ok = true;
        ServiceClient sc = client(cc, a[1], o);
        for (int i = 1; i <= Integer.parseInt(a[2]); i++) {
            if (i > 1) System.in.read();
            if (i > 1 && o.containsKey("gap")) Thread.sleep(Long.parseLong(o.get("gap")));
            if (i > 1 && "true".equals(o.get("new"))) sc = client(cc, a[1], o);
            String got;
            try {
                if (o.containsKey("rm") && i == Integer.parseInt(a[2]))
                    sc.getOptions().setProperty("Sandesha2LastMessage", "true");
                OMElement r = sc.sendReceive(payload("true".equals(o.get("mtom")) ? "blob" : o.getOrDefault("op", "next")));
                got = r.getFirstElement().getText();
            } catch (AxisFault f) {
                got = f.getClass().getName() + " " + f.getFaultCode() + ": " + f.getMessage();
                System.out.println("call " + i + " failed: " + got);
                ok = false;
                continue;
            }
            System.out.println("call " + i + " -> " + got);
            ok &= got.equals(Integer.toString(i));
            try { sc.cleanupTransport(); } catch (AxisFault ignored) { }
        }
        System.out.println(ok ? "OK" : "LOST");
        if (o.containsKey("rm")) Thread.sleep(Long.parseLong(o.getOrDefault("end", "8000"))); // acknowledgements, TerminateSequence
        System.exit(ok ? 0 : 1);
    }

    static ServiceClient client(ConfigurationContext cc, String url, Map<String, String> o) throws AxisFault {
        ServiceClient sc = new ServiceClient(cc, null);
        Options p = new Options();
        p.setTo(new EndpointReference(url));
        p.setAction("urn:" + ("true".equals(o.get("mtom")) ? "blob" : o.getOrDefault("op", "next")));
        p.setManageSession(true);
        p.setTimeOutInMilliSeconds(20000);
        if ("12".equals(o.get("soap"))) p.setSoapVersionURI(SOAP12Constants.SOAP_ENVELOPE_NAMESPACE_URI);
        String wsa = o.getOrDefault("wsa", "200508");
        if (!wsa.equals("off")) sc.engageModule("addressing");
        if (wsa.equals("200408"))
            p.setProperty("WSAddressingVersion", "http://schemas.xmlsoap.org/ws/2004/08/addressing");
        if (o.containsKey("chunked")) p.setProperty("__CHUNKED__", Boolean.valueOf(o.get("chunked")));
        if (o.containsKey("gzip")) {
            p.setProperty("transport.http.gzipRequest", Boolean.TRUE);
            p.setProperty("transport.http.acceptGzip", Boolean.TRUE);
        }
        if (o.containsKey("mtom")) p.setProperty("enableMTOM", "true");
        if (o.containsKey("cookie")) p.setProperty("customCookieID", o.get("cookie"));
        if (o.containsKey("replyto")) p.setReplyTo(new EndpointReference("http://www.w3.org/2005/08/addressing/anonymous"));
        if (o.containsKey("rm")) {
            sc.engageModule("sandesha2");
            p.setProperty("Sandesha2RMSpecVersion", o.get("rm").equals("10") ? "Spec_2005_02" : "Spec_2007_02");
            if (!o.containsKey("dual")) p.setProperty("Sandesha2OfferedSequenceId", "urn:uuid:" + java.util.UUID.randomUUID());
        }
        if (o.containsKey("dual")) p.setUseSeparateListener(true);
        sc.setOptions(p);
        return sc;
    }

    static OMElement payload(String op) {
        OMFactory f = OMAbstractFactory.getOMFactory();
        OMNamespace ns = f.createOMNamespace("http://lab", "c");
        OMElement e = f.createOMElement(op, ns);
        if (op.equals("next")) f.createOMElement("by", ns, e).setText("1");
        if (op.equals("blob"))
            f.createOMElement("data", ns, e).addChild(Binary.text(f, new byte[500]));
        return e;
    }
}
