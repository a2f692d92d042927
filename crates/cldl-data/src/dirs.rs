//! Where data sets are looked for, and where a download goes.

use std::path::{Path, PathBuf};

use crate::custom::{CustomFolder, DESCRIPTION};
use crate::manifest::manifest;
use crate::{DataError, DatasetName, DatasetSpec};

/// Endings of a packed file, after the plain name itself.
const ENDINGS: [&str; 3] = ["", ".gz", ".xz"];

/// Folders that may hold data sets, each in a subfolder by its name (`mnist/`, `fashion-mnist/`,
/// `cifar-10/`) or laid out as by torchvision; the first one that holds a file wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataDirs(Vec<PathBuf>);

impl DataDirs {
    /// The usual places: `data_dir` (the flag `--data-dir`), `CLDL_DATA_DIR`, a folder `datasets`
    /// in or above the current folder, one beside or above the program, the system's packages, and
    /// the user's own data folder, where downloads go.
    pub fn standard(data_dir: Option<&Path>) -> Self {
        let mut dirs: Vec<PathBuf> = chosen(data_dir).into_iter().collect();
        dirs.extend(from_environment());
        let current = std::env::current_dir().ok();
        // `target/release/cldl` started from anywhere still finds its workspace's data.
        let program = std::env::current_exe().ok();
        for start in [current.as_deref(), program.as_deref()].into_iter().flatten() {
            let folders = start.ancestors().map(|folder| folder.join("datasets"));
            dirs.extend(folders.filter(|folder| folder.is_dir()));
        }
        if cfg!(unix) {
            dirs.push(PathBuf::from("/usr/share/datasets"));
        }
        dirs.extend(users_own());
        let mut seen = std::collections::BTreeSet::new();
        dirs.retain(|dir| seen.insert(dir.clone()));
        Self(dirs)
    }

    /// Just the folders named, in this order.
    pub fn only(dirs: impl IntoIterator<Item = PathBuf>) -> Self {
        Self(dirs.into_iter().collect())
    }

    /// The folders, in the order of the search.
    pub fn folders(&self) -> &[PathBuf] {
        &self.0
    }

    /// The file of `name` that is called `file`, plain or packed.
    pub(crate) fn find(&self, name: DatasetName, file: &str) -> Option<PathBuf> {
        let folders = &manifest(name).folders;
        self.0
            .iter()
            .flat_map(|dir| folders.iter().map(move |folder| dir.join(folder)))
            .find_map(|folder| find_in(&folder, file))
    }

    /// The data set that `text` names: a published one, a folder with a `dataset.toml` in one of these
    /// folders, or a path of such a folder, whose parent becomes the first of these.
    ///
    /// # Errors
    /// If there is none, or its `dataset.toml` makes no sense.
    pub fn dataset(&mut self, text: &str) -> Result<DatasetSpec, DataError> {
        if let Ok(name) = text.parse::<DatasetName>() {
            return Ok(name.into());
        }
        match self.custom(text) {
            Err(DataError::NoFolder { .. }) => {}
            found => return found?.spec(),
        }
        let folder = Path::new(text);
        if !folder.join(DESCRIPTION).is_file() {
            return Err(DataError::UnknownName { found: text.to_owned() });
        }
        let whole = std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf());
        self.0.splice(..0, whole.parent().map(Path::to_path_buf));
        CustomFolder::open(folder)?.spec()
    }

    /// The folder of the custom data set `name`.
    pub(crate) fn custom(&self, name: &str) -> Result<CustomFolder, DataError> {
        let folders = self.0.iter().map(|dir| dir.join(name));
        match folders.into_iter().find(|folder| folder.join(DESCRIPTION).is_file()) {
            Some(folder) => CustomFolder::open(&folder),
            None => Err(DataError::NoFolder { name: name.to_owned(), places: self.places() }),
        }
    }

    pub(crate) fn not_found(&self, name: DatasetName, file: &str) -> DataError {
        DataError::NotFound { name, file: file.to_owned(), places: self.places() }
    }

    fn places(&self) -> String {
        let places: Vec<String> = self.0.iter().map(|dir| format!("`{}`", dir.display())).collect();
        if places.is_empty() { "no folder".to_owned() } else { places.join(", ") }
    }
}

/// The file in `folder` that is called `file`, plain or packed.
pub(crate) fn find_in(folder: &Path, file: &str) -> Option<PathBuf> {
    let paths = ENDINGS.map(|ending| folder.join(format!("{file}{ending}")));
    paths.into_iter().find(|path| path.is_file())
}

/// Where `cldl data fetch` puts data sets: `data_dir` (the flag `--data-dir`), else
/// `CLDL_DATA_DIR`, else the user's own data folder. [`DataDirs::standard`] looks there.
pub fn fetch_dir(data_dir: Option<&Path>) -> PathBuf {
    chosen(data_dir)
        .or_else(from_environment)
        .or_else(users_own)
        .unwrap_or_else(|| PathBuf::from("datasets"))
}

/// Whether a file, or the archive that holds it, has to be unpacked.
pub(crate) fn is_packed(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "gz" || ending == "xz")
}

fn chosen(data_dir: Option<&Path>) -> Option<PathBuf> {
    data_dir.map(Path::to_path_buf)
}

fn from_environment() -> Option<PathBuf> {
    std::env::var_os("CLDL_DATA_DIR").filter(|dir| !dir.is_empty()).map(PathBuf::from)
}

fn users_own() -> Option<PathBuf> {
    dirs::data_dir().map(|dir| dir.join("cldl").join("datasets"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_folder_that_holds_the_file_wins_plain_or_packed() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"").unwrap();
        };
        put("a/fashion-mnist/images");
        put("b/mnist/images.gz");
        put("c/mnist/images");
        put("c/MNIST/raw/labels");
        let dirs = DataDirs::only(["a", "b", "c"].map(|dir| root.path().join(dir)));
        let find = |file| {
            let path = dirs.find(DatasetName::Mnist, file)?;
            Some(path.strip_prefix(root.path()).unwrap().to_str().unwrap().to_owned())
        };
        assert_eq!(find("images").as_deref(), Some("b/mnist/images.gz"));
        assert_eq!(find("labels").as_deref(), Some("c/MNIST/raw/labels"));
        assert_eq!(find("other"), None);
    }

    #[test]
    fn the_flag_comes_first_and_the_users_folder_last() {
        let dirs = DataDirs::standard(Some(Path::new("/flag")));
        assert_eq!(dirs.folders().first().unwrap(), Path::new("/flag"));
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
        assert!(dirs.folders().contains(&workspace.join("datasets")), "{dirs:?}");
        assert_eq!(fetch_dir(Some(Path::new("/flag"))), Path::new("/flag"));
    }

    #[test]
    fn not_found_says_where_and_what_to_do_in_one_line() {
        let dirs = DataDirs::only([PathBuf::from("/a"), PathBuf::from("/b")]);
        let error = dirs.not_found(DatasetName::Mnist, "images").to_string();
        assert_eq!(
            error,
            "`images` of `mnist` not found in `/a`, `/b`; run `cldl data fetch mnist`, or name a \
             folder that holds `mnist/` by `--data-dir` or `CLDL_DATA_DIR`"
        );
    }
}
