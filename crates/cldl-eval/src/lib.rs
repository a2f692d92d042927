//! Protocols, the per-example outcome store and tables.
