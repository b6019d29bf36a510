// Registers with Curator's x-discovery and leads with its recipes, as the orders on standard input say, in JSON a line.
// The package is Spring's, so that the payload's class has the name under which Spring Cloud Zookeeper writes it.
package org.springframework.cloud.zookeeper.discovery;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeSet;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.leader.LeaderSelector;
import org.apache.curator.framework.recipes.leader.LeaderSelectorListenerAdapter;
import org.apache.curator.retry.RetryOneTime;
import org.apache.curator.x.discovery.ServiceDiscovery;
import org.apache.curator.x.discovery.ServiceDiscoveryBuilder;
import org.apache.curator.x.discovery.ServiceInstance;
import org.apache.curator.x.discovery.ServiceInstanceBuilder;
import org.apache.curator.x.discovery.ServiceType;
import org.apache.curator.x.discovery.UriSpec;
import org.apache.curator.x.discovery.details.JsonInstanceSerializer;

public class CuratorDriver {
    private static final ObjectMapper MAPPER = new ObjectMapper();

    private final CuratorFramework client;
    private final Map<String, ServiceInstance<ZookeeperInstance>> registered = new HashMap<>();
    private final Map<String, LeaderLatch> latches = new HashMap<>();
    private final Map<String, LeaderSelector> selectors = new HashMap<>();
    private ServiceDiscovery<ZookeeperInstance> discovery;

    private CuratorDriver(String servers) throws Exception {
        client = CuratorFrameworkFactory.newClient(servers, 4000, 20000, new RetryOneTime(500));
        client.start();
        if (!client.blockUntilConnected(20, java.util.concurrent.TimeUnit.SECONDS)) {
            throw new IllegalStateException("no connection to " + servers);
        }
        open("/services", true);
    }

    public static void main(String[] arguments) throws Exception {
        PrintStream answers = System.out;
        // Whatever a library prints is not among the answers.
        System.setOut(System.err);
        CuratorDriver driver;
        try {
            driver = new CuratorDriver(arguments[0]);
        } catch (Exception error) {
            answers.println(MAPPER.createObjectNode().put("ok", false).put("error", error.toString()));
            return;
        }
        answers.println(MAPPER.createObjectNode().put("ok", true));
        BufferedReader orders = new BufferedReader(new InputStreamReader(System.in));
        for (String line = orders.readLine(); line != null; line = orders.readLine()) {
            ObjectNode answer = MAPPER.createObjectNode();
            try {
                answer.set("found", MAPPER.valueToTree(driver.obey(MAPPER.readTree(line))));
                answer.put("ok", true);
            } catch (Exception error) {
                answer.put("ok", false).put("error", error.toString());
            }
            answers.println(answer);
        }
        // The session is left as it is.
        Runtime.getRuntime().halt(0);
    }

    private Object obey(JsonNode order) throws Exception {
        String service = order.path("service").asText();
        String key = service + " " + order.path("host").asText() + ":" + order.path("port").asInt();
        switch (order.get("op").asText()) {
            case "add": {
                ServiceInstance<ZookeeperInstance> instance = instance(order);
                discovery.registerService(instance);
                registered.put(key, instance);
                return instance.getId();
            }
            case "change": {
                ServiceInstance<ZookeeperInstance> instance = registered.get(key);
                if (order.has("status")) {
                    instance.getPayload().getMetadata().put("instance_status", order.get("status").asText());
                }
                discovery.updateService(instance);
                return null;
            }
            case "remove":
                discovery.unregisterService(registered.remove(key));
                return null;
            case "list": {
                TreeSet<String> found = new TreeSet<>();
                for (ServiceInstance<ZookeeperInstance> one : discovery.queryForInstances(service)) {
                    // Spring's own filter.
                    ZookeeperInstance payload = one.getPayload();
                    String status = payload == null ? null : payload.getMetadata().get("instance_status");
                    if (one.isEnabled() && (status == null || status.equals("UP"))) {
                        found.add(one.getAddress() + ":" + (one.getPort() == null ? one.getSslPort() : one.getPort()));
                    }
                }
                return found;
            }
            case "names":
                return new TreeSet<>(discovery.queryForNames());
            case "open":
                open(order.get("base").asText(), order.get("compatible").asBoolean());
                return null;
            case "close":
                discovery.close();
                registered.clear();
                return null;
            case "latch": {
                LeaderLatch latch = new LeaderLatch(client, order.get("path").asText(), order.get("id").asText());
                latch.start();
                latches.put(order.get("id").asText(), latch);
                return null;
            }
            case "select":
                return select(order.get("path").asText(), order.get("id").asText());
            case "leader":
                return latches.isEmpty()
                    ? selectors.values().iterator().next().getLeader().getId()
                    : latches.values().iterator().next().getLeader().getId();
            case "resign": {
                String id = order.get("id").asText();
                LeaderLatch latch = latches.remove(id);
                if (latch != null) {
                    latch.close();
                } else {
                    selectors.remove(id).close();
                }
                return null;
            }
            default:
                throw new IllegalArgumentException(order.toString());
        }
    }

    /** Begins anew as another program would: a discovery of its own. */
    private void open(String base, boolean isCompatible) throws Exception {
        JsonInstanceSerializer<ZookeeperInstance> serializer =
            new JsonInstanceSerializer<>(ZookeeperInstance.class, isCompatible);
        discovery = ServiceDiscoveryBuilder.builder(ZookeeperInstance.class)
            .client(client).basePath(base).serializer(serializer).build();
        discovery.start();
    }

    private ServiceInstance<ZookeeperInstance> instance(JsonNode order) throws Exception {
        String service = order.get("service").asText();
        ServiceInstanceBuilder<ZookeeperInstance> builder = ServiceInstance.<ZookeeperInstance>builder()
            .name(service).address(order.get("host").asText())
            .serviceType(ServiceType.valueOf(order.path("type").asText("DYNAMIC")));
        if (order.has("ssl")) {
            builder.sslPort(order.get("ssl").asInt());
        }
        if (order.path("port").asInt() > 0) {
            builder.port(order.get("port").asInt());
        }
        if (order.has("id")) {
            builder.id(order.get("id").asText());
        }
        if (order.has("enabled")) {
            builder.enabled(order.get("enabled").asBoolean());
        }
        if (order.has("metadata")) {
            Map<String, String> metadata = new HashMap<>();
            order.get("metadata").fields().forEachRemaining(one -> metadata.put(one.getKey(), one.getValue().asText()));
            builder.payload(new ZookeeperInstance(service + "-1", service, metadata));
            builder.uriSpec(new UriSpec("{scheme}://{address}:{port}"));
        }
        return builder.build();
    }

    private Object select(String path, String id) {
        LeaderSelector selector = new LeaderSelector(client, path, new LeaderSelectorListenerAdapter() {
            @Override
            public void takeLeadership(CuratorFramework ignored) throws InterruptedException {
                Thread.sleep(Long.MAX_VALUE);
            }
        });
        selector.setId(id);
        selector.start();
        selectors.put(id, selector);
        return null;
    }
}

/** What Spring Cloud Zookeeper puts into each instance. */
class ZookeeperInstance {
    private String id;
    private String name;
    private Map<String, String> metadata = new HashMap<>();

    ZookeeperInstance() {}

    ZookeeperInstance(String id, String name, Map<String, String> metadata) {
        this.id = id;
        this.name = name;
        this.metadata = metadata;
    }

    public String getId() {
        return id;
    }

    public void setId(String id) {
        this.id = id;
    }

    public String getName() {
        return name;
    }

    public void setName(String name) {
        this.name = name;
    }

    public Map<String, String> getMetadata() {
        return metadata;
    }

    public void setMetadata(Map<String, String> metadata) {
        this.metadata = metadata;
    }
}
