package lab;

import java.net.URL;
import javax.xml.namespace.QName;
import org.apache.axis.AxisEngine;
import org.apache.axis.client.Call;
import org.apache.axis.client.Service;
import org.apache.axis.configuration.FileProvider;
import org.apache.axis.soap.SOAPConstants;

/**
 * usage: Client CONFIG-DIRECTORY URL CALLS [cookie] [soap12] [nomultiref] [gap=ms] [commons]
 * Sessions by SOAP header, or by cookie; commons: HTTP/1.1 by commons-httpclient (else HTTP/1.0, one connection a call). Exit 0 only if the answers were 1, 2, 3, ...
 */
public class Client {
    public static void main(String[] a) throws Exception {
        String o = " " + String.join(" ", a) + " ";
        boolean cookie = o.contains(" cookie "), ok = true;
        Service s = cookie ? new Service() : new Service(new FileProvider(a[0] + (o.contains(" commons ") ? "/client-commons.wsdd" : "/client-config.wsdd")));
        s.setMaintainSession(cookie);
        for (int i = 1; i <= Integer.parseInt(a[2]); i++) {
            if (i > 1) System.in.read();      // a test may hold it here
            if (i > 1 && o.contains(" gap=")) Thread.sleep(Long.parseLong(o.replaceAll(".* gap=(\\d+) .*", "$1")));
            Call c = (Call) s.createCall();
            c.setMaintainSession(cookie);
            c.setTargetEndpointAddress(new URL(a[1]));
            c.setOperationName(new QName("urn:counter", "next"));
            if (o.contains(" soap12 ")) c.setSOAPVersion(SOAPConstants.SOAP12_CONSTANTS);
            if (o.contains(" nomultiref ")) c.setProperty(AxisEngine.PROP_DOMULTIREFS, Boolean.FALSE);
            String got;
            try {
                got = String.valueOf(c.invoke(new Object[] {Integer.valueOf(1)}));
            } catch (java.rmi.RemoteException e) {
                System.out.println("call " + i + " failed: " + e.getClass().getName() + " " + e);
                ok = false;
                continue;
            }
            System.out.println("call " + i + " -> " + got);
            ok &= got.equals(Integer.toString(i));
        }
        System.out.println(ok ? "OK" : "LOST");
        System.exit(ok ? 0 : 1);
    }
}
