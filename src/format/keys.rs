//! Keys of the data of registrations that this program writes beside their properties.

/// Key of the data under which a registration carries the identity of who wrote it, so that its writer knows it again
/// after a restart.
pub const INSTANCE_ID: &str = "instance_id";

/// Keys that are written beside the properties of an instance and cannot be among them.
pub const RESERVED: [&str; 5] = ["pid", "created", INSTANCE_ID, BOOT_ID, HOST_ADDRESSES];

/// Key of the id of the boot in which a registration was written.
pub(super) const BOOT_ID: &str = "boot_id";
/// Key of the list of addresses of the host that wrote a registration.
pub(super) const HOST_ADDRESSES: &str = "host_addresses";
