//! Where the time of a run goes: each unit of a plan with its time, its work, and the share of what the machine can do.

mod chrome;
mod limits;
mod measure;
mod picture;
mod table;

use limits::Limits;

/// The time of each unit of a plan, measured over several runs: made by [`Graph::profile`](crate::Graph::profile), and by
/// `Step::profile` and `Function::profile` of `gradus-train`.
///
/// It prints as a table of the lines of the program that take the most time. [`Profile::to_svg`] draws it, and
/// [`Profile::to_chrome_trace`] writes one run for a viewer of traces.
#[derive(Clone, Debug)]
pub struct Profile {
    /// In the order of the run.
    entries: Vec<ProfileEntry>,
    /// Seconds of a run without a clock between the units.
    seconds: f64,
    runs: usize,
    precision: &'static str,
    limits: Limits,
}

/// The time and the work of a unit, or of several that have something in common.
#[derive(Clone, Debug, PartialEq)]
pub struct ProfileEntry {
    /// The op, or the ops of a fused loop in their order, joined by `+`.
    pub name: String,
    /// The dotted scope; empty outside of all scopes.
    pub scope: String,
    /// File, line and column. A derivative has the line of the op that is differentiated.
    pub line: String,
    /// The number of units.
    pub units: usize,
    /// Seconds of a run: the median over the runs.
    pub seconds: f64,
    /// Operations on numbers of a run: two for each multiply-add of a product or a convolution, one for each element of a
    /// step of a loop, one for each element that another kernel reads or writes.
    pub operations: u64,
    /// Bytes that are read and written, each once for each unit.
    pub bytes: u64,
    /// Of [`operations`](Self::operations), those of multiply-adds.
    pub product_operations: u64,
}

impl Profile {
    /// The units, in the order in which they run.
    pub fn units(&self) -> &[ProfileEntry] {
        &self.entries
    }

    /// The units of the same name together, the slowest first. Their scopes and lines are empty.
    pub fn by_op(&self) -> Vec<ProfileEntry> {
        self.grouped(|entry| (&entry.name, "", ""))
    }

    /// The units of the same scope together, the slowest first. Their names and lines are empty.
    pub fn by_scope(&self) -> Vec<ProfileEntry> {
        self.grouped(|entry| ("", &entry.scope, ""))
    }

    /// The units of the same name, scope and line together, the slowest first: an op and its derivative have one line.
    pub fn by_line(&self) -> Vec<ProfileEntry> {
        self.grouped(|entry| (&entry.name, &entry.scope, &entry.line))
    }

    /// Seconds of a run: the median, without a clock between the units.
    pub fn seconds(&self) -> f64 {
        self.seconds
    }

    /// The number of runs that were measured.
    pub fn runs(&self) -> usize {
        self.runs
    }

    /// The share of its time that an entry would take at the limit of the machine: the multiply-adds at the rate of a
    /// large product, or the bytes at that of a copy, whichever takes longer. Both are measured with the profile, on the
    /// same threads. The bandwidth is that of the cache if the unit's data fit into it; so the share is an estimate, and
    /// may exceed 1 a little.
    pub fn share_of_limit(&self, entry: &ProfileEntry) -> f64 {
        let units = entry.units.max(1) as u64;
        let bytes = entry.bytes as f64 / self.limits.bandwidth(entry.bytes / units);
        let products = entry.product_operations as f64 / self.limits.product_rate;
        bytes.max(products) / entry.seconds
    }

    fn grouped<'a>(&'a self, key: impl Fn(&'a ProfileEntry) -> (&'a str, &'a str, &'a str)) -> Vec<ProfileEntry> {
        let mut groups: Vec<ProfileEntry> = Vec::new();
        let mut index = rustc_hash::FxHashMap::default();
        for entry in &self.entries {
            let key = key(entry);
            let group = *index.entry(key).or_insert_with(|| {
                let (name, scope, line) = key;
                groups.push(ProfileEntry {
                    name: name.to_owned(),
                    scope: scope.to_owned(),
                    line: line.to_owned(),
                    units: 0,
                    seconds: 0.0,
                    operations: 0,
                    bytes: 0,
                    product_operations: 0,
                });
                groups.len() - 1
            });
            let group = &mut groups[group];
            group.units += 1;
            group.seconds += entry.seconds;
            group.operations += entry.operations;
            group.bytes += entry.bytes;
            group.product_operations += entry.product_operations;
        }
        groups.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        groups
    }
}
