package org.apache.curator.x.discovery.details;

/** Curator's serializer as it was before it took keys that it does not know, which its package keeps to itself. */
public final class Strict {
    private Strict() {}

    public static <T> JsonInstanceSerializer<T> serializer(Class<T> payload) {
        return new JsonInstanceSerializer<>(payload, true, true);
    }
}
