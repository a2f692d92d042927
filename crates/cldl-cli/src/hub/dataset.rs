//! Datasets from their repositories on the Hub, as the files that everything else reads.

use std::path::Path;

use anyhow::{Context as _, Result};
use cldl_data::{DatasetName, Fetched, install};
use cldl_hub::{Hub, RepoId, Split, read_images};

use super::Bar;

/// Puts the files of `name` into `dir/<name>/`, made of the parquet files on the Hub, if they come out as the published
/// ones, byte for byte.
pub(crate) fn fetch(name: DatasetName, dir: &Path) -> Result<Vec<Fetched>> {
    let repo: RepoId = name.hub_id().parse()?;
    let config = match name {
        DatasetName::Mnist => "mnist",
        DatasetName::FashionMnist => "fashion_mnist",
        DatasetName::Cifar10 => "plain_text",
    };
    let bar = Bar::new();
    let hub = Hub::new(bar.options(false))?;
    let mut fetched = Vec::new();
    for (on_hub, split) in
        [(Split::Train, cldl_data::Split::Train), (Split::Test, cldl_data::Split::Test)]
    {
        let path = hub.parquet(&repo, config, on_hub)?;
        let images = read_images(&path, name.image_shape());
        let images = images
            .map_err(anyhow::Error::msg)
            .with_context(|| format!("the {split} split of `{repo}`"))?;
        fetched.extend(install(name, split, &images.pixels, &images.labels, dir)?);
    }
    bar.end();
    Ok(fetched)
}
