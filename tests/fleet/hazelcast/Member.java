import com.hazelcast.config.*;
import com.hazelcast.core.Hazelcast;
import com.hazelcast.core.HazelcastInstance;
import java.io.BufferedReader;
import java.io.InputStreamReader;

/**
 * One Hazelcast member on loopback: joins by TCP, no multicast; its HTTP port is a member attribute. Ends with its standard input.
 * usage: Member CLUSTER PORT PEER_PORT HTTP_PORT
 */
public class Member {
    public static void main(String[] a) throws Exception {
        Config c = new Config();
        c.setClusterName(a[0]);
        c.setProperty("hazelcast.phone.home.enabled", "false");
        c.setProperty("hazelcast.wait.seconds.before.join", "0");
        NetworkConfig n = c.getNetworkConfig();
        n.setPort(Integer.parseInt(a[1])).setPortAutoIncrement(false);
        n.getInterfaces().setEnabled(true).addInterface("127.0.0.1");
        JoinConfig j = n.getJoin();
        j.getAutoDetectionConfig().setEnabled(false);
        j.getMulticastConfig().setEnabled(false);
        j.getTcpIpConfig().setEnabled(true).addMember("127.0.0.1:" + a[1]).addMember("127.0.0.1:" + a[2]);
        c.getMemberAttributeConfig().setAttribute("httpPort", a[3]).setAttribute("httpHost", "127.0.0.1").setAttribute("subDomain", "worker");
        HazelcastInstance h = Hazelcast.newHazelcastInstance(c);
        say("READY " + h.getCluster().getLocalMember().getUuid());
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        while (in.readLine() != null) { }
        Runtime.getRuntime().halt(0);
    }

    static void say(String line) {
        System.out.println(line);
        System.out.flush();
    }
}
