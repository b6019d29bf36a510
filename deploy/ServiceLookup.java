import java.util.Hashtable;
import javax.naming.Context;
import javax.naming.NamingException;
import javax.naming.directory.Attribute;
import javax.naming.directory.InitialDirContext;

/** Finds the instances of a service through zonekeeper with what every JDK has (JNDI): java ServiceLookup.java NAME. */
public class ServiceLookup {
    private static final String SERVER = "dns://127.0.0.1:5300";

    public static void main(String[] arguments) throws NamingException {
        Hashtable<String, String> environment = new Hashtable<>();
        environment.put(Context.INITIAL_CONTEXT_FACTORY, "com.sun.jndi.dns.DnsContextFactory");
        environment.put(Context.PROVIDER_URL, SERVER);
        InitialDirContext context = new InitialDirContext(environment);
        Attribute records = context.getAttributes(arguments[0], new String[] {"SRV"}).get("SRV");
        // Nothing for a service that has no instance now: keep what you have, or wait.
        for (int i = 0; records != null && i < records.size(); i++) {
            // Priority, weight, port, host.
            String[] fields = ((String) records.get(i)).split(" ");
            Attribute addresses = context.getAttributes(fields[3], new String[] {"A"}).get("A");
            System.out.println(addresses.get(0) + ":" + fields[2]);
        }
    }
}
