//! What people and tools see of a registry and of the zones that show it: services as they are read, and why a name is
//! answered as it is. Nothing here changes anything.
//!
//! - [`reader`]: services by path, name or endpoint, drains, clashes and counts.
//! - [`standing`]: what each instance is answered with, or why it is not.
//! - [`explain`]: from a name to the znodes, instances and reasons behind its answer.

pub mod explain;
pub mod reader;
pub mod standing;
