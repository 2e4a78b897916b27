import java.io.IOException;
import java.nio.charset.StandardCharsets;
import javax.servlet.http.*;      // Tomcat 9; the installation writes jakarta for Tomcat 10
import org.apache.catalina.Context;
import org.apache.catalina.startup.Tomcat;

/**
 * A Tomcat node with two webapps, /ws and /other; the SOAP 1.1 service of each counts the calls of an HTTP session.
 * Operations, told by the body: next, login (the container changes the session id), logout (the session is invalidated),
 * url (answers its own URL, encoded by the container).
 *
 * usage: Node PORT JVM_ROUTE WORK_FOLDER
 */
public class Node {
    public static void main(String[] a) throws Exception {
        Tomcat tomcat = new Tomcat();
        tomcat.setBaseDir(a[2]);
        tomcat.setPort(Integer.parseInt(a[0]));
        tomcat.getConnector().setProperty("address", "127.0.0.1");
        tomcat.getEngine().setJvmRoute(a[1]);
        for (String path : new String[] {"/ws", "/other"}) {
            Context context = tomcat.addContext(path, null);
            Tomcat.addServlet(context, "counter", new Counter(a[1]));
            context.addServletMappingDecoded("/counter/*", "counter");
        }
        tomcat.start();
        System.out.println("READY " + a[0]);
        tomcat.getServer().await();
    }

    static class Counter extends HttpServlet {
        final String route;
        Counter(String route) { this.route = route; }

        @Override protected void doPost(HttpServletRequest q, HttpServletResponse r) throws IOException {
            String body = new String(q.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            String op = body.contains(":logout") ? "logout" : body.contains(":login") ? "login" : body.contains(":url") ? "url" : "next";
            HttpSession s = q.getSession();
            Integer n = (Integer) s.getAttribute("n");
            n = n == null ? 1 : n + 1;
            s.setAttribute("n", n);
            String text = n.toString();
            if (op.equals("login")) q.changeSessionId();
            if (op.equals("logout")) s.invalidate();
            if (op.equals("url")) text = r.encodeURL(q.getRequestURL().toString());
            String name = op.equals("url") ? "url" : "count";
            r.setContentType("text/xml;charset=utf-8");
            r.getWriter().print("<?xml version=\"1.0\" encoding=\"utf-8\"?>"
                + "<soap:Envelope xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\"><soap:Body><c:" + op + "Response xmlns:c=\"urn:lab:counter\">"
                + "<c:" + name + ">" + text + "</c:" + name + "><c:node>" + route + "</c:node></c:" + op + "Response></soap:Body></soap:Envelope>");
        }
    }
}
