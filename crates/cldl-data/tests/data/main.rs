//! The crate from outside: real data against known answers, damaged files, downloads on loopback.

#[cfg(test)]
mod cifar;
#[cfg(test)]
mod custom;
#[cfg(test)]
mod damaged;
#[cfg(test)]
mod fetch;
#[cfg(test)]
mod mnist;
#[cfg(test)]
mod server;

#[cfg(test)]
fn datasets() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets")
}
