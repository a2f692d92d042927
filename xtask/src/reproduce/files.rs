//! The files of the table so far: on disk and valid at any time.

use super::args::Settings;
use super::attacks::{self, Slice};
use super::cldl::Cldl;
use super::common::Common;
use super::plan::Plan;
use super::request::Request;
use anyhow::Result;
use std::path::PathBuf;
use std::time::Instant;

/// Where a table is written, and what its request needs to know.
pub(super) struct Files<'a> {
    pub(super) cldl: &'a Cldl,
    pub(super) common: &'a Common,
    pub(super) settings: &'a Settings,
    pub(super) began: Instant,
    /// Seconds spent by earlier calls.
    pub(super) earlier: f64,
    pub(super) folder: PathBuf,
}

impl Files<'_> {
    /// Relative to the root, as `cldl` gets it.
    pub(super) fn request_name(&self) -> PathBuf {
        self.folder.join("request.json")
    }

    pub(super) fn request(&self) -> PathBuf {
        self.cldl.root.join(self.request_name())
    }

    /// Writes the table so far; returns the attacks that it still lacks.
    pub(super) fn write(&self, plan: &Plan) -> Result<Vec<Slice>> {
        let seconds = self.earlier + self.began.elapsed().as_secs_f64();
        Request::new(plan, self.common, self.settings, seconds).write(&self.request())?;
        let table =
            self.cldl.table(&self.request_name(), &self.folder, &self.settings.data_args())?;
        Ok(attacks::missing(plan, &table))
    }

    /// The attacks that the table lacks, without touching its files.
    pub(super) fn in_passing(&self, plan: &Plan) -> Result<Vec<Slice>> {
        let folder = std::env::temp_dir().join(format!("cldl-plan-{}", std::process::id()));
        let request = folder.join("request.json");
        let answer = Request::new(plan, self.common, self.settings, 0.0)
            .write(&request)
            .and_then(|()| self.cldl.table(&request, &folder, &self.settings.data_args()));
        // A folder that stays behind in the temporary directory harms nobody.
        let _ = std::fs::remove_dir_all(&folder);
        Ok(attacks::missing(plan, &answer?))
    }

    /// Shows the table, and the ensembles behind it, as a page and as pictures.
    pub(super) fn report(&self, plan: &Plan) -> Result<()> {
        // The views of each ensemble cost less than what the table took.
        let examples = plan.size.examples.min(200).to_string();
        self.cldl.report(&self.folder, &examples, &self.settings.data_args())
    }

    /// Shows the table on stdout.
    pub(super) fn show(&self) -> Result<()> {
        self.cldl.show_table(&self.request_name(), &self.folder, &self.settings.data_args())
    }
}
