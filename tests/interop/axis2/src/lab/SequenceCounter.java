package lab;

import java.util.Iterator;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.axiom.om.OMElement;
import org.apache.axis2.context.MessageContext;

/** One instance; one count for each WS-ReliableMessaging sequence. */
public class SequenceCounter {
    private final Map<String, Integer> counts = new ConcurrentHashMap<String, Integer>();

    public int next(int by) {
        String id = "none";
        for (Iterator<?> i = MessageContext.getCurrentMessageContext().getEnvelope().getHeader().getChildElements(); i.hasNext();) {
            OMElement e = (OMElement) i.next();
            if (e.getLocalName().equals("Sequence")) id = e.getFirstElement().getText();
        }
        Integer n = counts.get(id);
        counts.put(id, n == null ? by : n + by);
        return counts.get(id);
    }
}
