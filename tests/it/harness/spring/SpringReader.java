import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.retry.RetryNTimes;
import org.apache.curator.x.discovery.ServiceCache;
import org.apache.curator.x.discovery.ServiceDiscovery;
import org.apache.curator.x.discovery.ServiceDiscoveryBuilder;
import org.apache.curator.x.discovery.ServiceInstance;
import org.apache.curator.x.discovery.details.Strict;
import org.springframework.cloud.zookeeper.discovery.ZookeeperInstance;

/** Reads services as Spring Cloud Zookeeper does: an order in JSON a line (`op`: names, instances or cached, and `name`),
 * and an answer a line. */
public final class SpringReader {
    private static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] arguments) throws Exception {
        CuratorFramework client = CuratorFrameworkFactory.newClient(arguments[0], new RetryNTimes(50, 100));
        client.start();
        ServiceDiscovery<ZookeeperInstance> discovery = ServiceDiscoveryBuilder.builder(ZookeeperInstance.class)
                .client(client)
                .basePath(arguments[1])
                .serializer(Strict.serializer(ZookeeperInstance.class))
                .build();
        discovery.start();
        Map<String, ServiceCache<ZookeeperInstance>> caches = new LinkedHashMap<>();
        System.out.println("{\"ok\":true}");
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            Map<String, Object> answer = new LinkedHashMap<>();
            try {
                answer.put("found", answer(discovery, caches, JSON.readValue(line, Map.class)));
                answer.put("ok", true);
            } catch (Exception error) {
                answer.put("ok", false);
                answer.put("error", error.toString());
            }
            System.out.println(JSON.writeValueAsString(answer));
        }
    }

    private static Object answer(
            ServiceDiscovery<ZookeeperInstance> discovery,
            Map<String, ServiceCache<ZookeeperInstance>> caches,
            Map<?, ?> order)
            throws Exception {
        String name = (String) order.get("name");
        switch ((String) order.get("op")) {
            case "names":
                return discovery.queryForNames();
            case "instances":
                return shown(discovery.queryForInstances(name));
            default:
                ServiceCache<ZookeeperInstance> cache = caches.get(name);
                if (cache == null) {
                    cache = discovery.serviceCacheBuilder().name(name).build();
                    cache.start();
                    caches.put(name, cache);
                }
                return shown(cache.getInstances());
        }
    }

    private static List<Object> shown(Collection<ServiceInstance<ZookeeperInstance>> instances) {
        List<Object> all = new ArrayList<>();
        for (ServiceInstance<ZookeeperInstance> one : instances) {
            Map<String, Object> shown = new LinkedHashMap<>();
            shown.put("name", one.getName());
            shown.put("id", one.getId());
            shown.put("address", one.getAddress());
            shown.put("port", one.getPort());
            shown.put("sslPort", one.getSslPort());
            shown.put("type", one.getServiceType().name());
            shown.put("enabled", one.isEnabled());
            shown.put("uri", one.buildUriSpec());
            shown.put("payload", one.getPayload());
            all.add(shown);
        }
        return all;
    }
}
