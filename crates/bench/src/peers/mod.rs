//! Gradus beside PyTorch, JAX and candle: the same work from the same numbers, in turn, at one thread and at two.
//!
//! Each library runs in a process of its own: a Python one (`peer.py`), which is bound to as many processors as it may
//! have threads, or the program of the package in `crates/bench/candle`, which has the rows of inference. Before a timing counts, losses and samples of gradients or outputs are compared. Then all take turns of
//! 20 ms or more with pauses between them, so that threads which wait for work are asleep when another one's turn comes.
//! PyTorch takes part as eager code with the fused optimizer and compiled, and its best counts.
//!
//! The limit of a row is what its products take at the rate of a product 512×512×512 on one core, times the threads, or
//! what its bytes take at the rate of a copy, or its elements at that of a pass that changes three arrays and reads a
//! fourth; they are measured in turn with the rest.

mod adbench;
mod dense;
mod functions;
mod images;
mod peer;
mod recurrent;
#[cfg(all(test, unix))]
mod tests;
mod text;
mod work;

use std::collections::BTreeMap;
use std::error::Error;
use std::hint::black_box;
use std::thread::sleep;
use std::time::{Duration, Instant};

use gradus_data::npz;
use gradus_graph::kernel::gemm::{Gemm, MatrixView};
use gradus_graph::kernel::simd::{Loop, vectorized};

use self::peer::{Numbers, Peer};
use self::work::{Limit, Work, Workload};
use crate::conv::{numbers, seconds};
use crate::folder::Folder;
use crate::table::Table;

static WORKLOADS: [Workload; 32] = {
    let [d2, d10, d20, d64, many] = adbench::MIXTURES;
    let [policy, dqn, ppo, twin] = dense::SMALL_NETWORKS;
    [
        dense::WIDE,
        recurrent::LSTM,
        recurrent::LSTM_FORWARD,
        recurrent::GRU,
        images::CNN,
        dense::SMALL,
        dense::SMALL_LOOP,
        functions::POINTWISE,
        functions::CHAIN_RUN,
        functions::CHAIN_WHOLE,
        dense::HESSIAN,
        functions::UPDATES,
        text::BLOCK,
        dense::WIDE_FORWARD,
        recurrent::LSTM_STEP,
        text::GPT,
        functions::ODE,
        policy,
        dqn,
        ppo,
        twin,
        recurrent::LENGTHS,
        d2,
        d10,
        d20,
        d64,
        many,
        adbench::BUNDLE,
        adbench::HAND,
        adbench::LSTM,
        text::WORDS,
        images::U_NET,
    ]
};

/// How many peers there are.
const PEERS: usize = 3;
/// The peers as tables call them, and their names in a request to start.
const NAMES: [(&str, &str); PEERS] = [("PyTorch", "torch"), ("JAX", "jax"), ("candle", "candle")];

/// The programs of the peers.
#[derive(Clone, Copy)]
pub(crate) struct Programs<'a> {
    /// The Python that has PyTorch and JAX.
    pub(crate) python: &'a str,
    /// What `crates/bench/candle` is built to.
    pub(crate) candle: Option<&'a str>,
}

/// Seconds of a turn, at least, and of the pause before it: threads that spin for work give up within it.
const TURN: f64 = 0.02;
const PAUSE: Duration = Duration::from_millis(15);
/// Turns of each; fewer if they take long, but at least some.
const ROUNDS: usize = 15;
const FEWEST: usize = 5;
const LONG: Duration = Duration::from_secs(4);
/// After the first turns, ways of a peer that are slower than its best by this factor are left out.
const TRIED: usize = 3;
const BEHIND: f64 = 1.2;

/// Measures the workloads whose names begin with one of the given words, or all. With the table comes whether all
/// results agree and no peer failed.
pub(crate) fn run(programs: Programs<'_>, wanted: &[&str]) -> Result<(Table, bool), Box<dyn Error>> {
    let wanted = chosen(wanted)?;
    let folder = Folder::new("peers");
    let mut race = Race::new(&folder)?;
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        pool.install(|| -> Result<(), String> {
            let mut peers = race.start(programs, threads)?;
            for workload in &wanted {
                race.row(workload, threads, &mut peers)?;
            }
            Ok(())
        })?;
    }
    Ok(race.end())
}

/// Prints where the time of the workloads goes that are compiled functions, on one thread.
pub(crate) fn profile(wanted: &[&str]) -> Result<(), Box<dyn Error>> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    let wanted = chosen(wanted)?;
    pool.install(|| {
        for workload in wanted {
            println!("{}: {}", workload.name, workload.title);
            match (workload.build)().run.profile() {
                Some(profile) => println!("{profile}"),
                None => println!("it is no compiled function\n"),
            }
        }
    });
    Ok(())
}

/// The workloads whose names begin with one of the given words, or all.
fn chosen(wanted: &[&str]) -> Result<Vec<&'static Workload>, String> {
    let is_of = |workload: &Workload, word: &str| {
        workload.name.strip_prefix(word).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    if let Some(word) = wanted.iter().find(|word| !WORKLOADS.iter().any(|workload| is_of(workload, word))) {
        return Err(format!("there is no workload `{word}`: they are W1 to W18"));
    }
    let all = WORKLOADS.iter();
    Ok(all.filter(|workload| wanted.is_empty() || wanted.iter().any(|word| is_of(workload, word))).collect())
}

/// Who takes turns.
#[derive(Clone, PartialEq)]
enum Who {
    Gradus,
    Limit,
    /// A peer by its number, and the way in which it does the work.
    Peer(usize, String),
}

struct Turns {
    who: Who,
    /// Units of work of a turn.
    repeat: usize,
    /// Seconds for one.
    times: Vec<f64>,
    is_out: bool,
}

impl Turns {
    fn median(&self) -> f64 {
        let mut times = self.times.clone();
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    }

    fn least(&self) -> f64 {
        self.times.iter().copied().fold(f64::INFINITY, f64::min)
    }
}

/// The table and what goes with it.
struct Race<'a> {
    folder: &'a Folder,
    table: Table,
    yardsticks: Yardsticks,
    versions: Vec<String>,
    /// The rows in which a way of a peer was its best, by its name.
    best: BTreeMap<String, Vec<String>>,
    below: Vec<String>,
    faults: Vec<String>,
}

impl<'a> Race<'a> {
    fn new(folder: &'a Folder) -> Result<Self, Box<dyn Error>> {
        peer::unpack(&folder.0)?;
        let table = Table::new(&[
            "Gradus µs",
            "least",
            "PyTorch µs",
            "PyTorch least",
            "JAX µs",
            "JAX least",
            "candle µs",
            "candle least",
            "PyTorch/Gradus",
            "JAX/Gradus",
            "candle/Gradus",
            "goal",
            "limit µs",
            "limit/Gradus",
            "difference",
        ]);
        let (versions, best, below, faults) = Default::default();
        Ok(Self { folder, table, yardsticks: Yardsticks::new(), versions, best, below, faults })
    }

    /// The peers that are installed, in the places of [`NAMES`].
    fn start(&mut self, programs: Programs<'_>, threads: usize) -> Result<[Option<Peer>; PEERS], String> {
        let mut started = [const { None }; PEERS];
        let python = Some((programs.python, Some(self.folder.join("peer.py"))));
        let commands = [python.clone(), python, programs.candle.map(|candle| (candle, None))];
        for ((place, peer), command) in started.iter_mut().zip(NAMES).zip(commands) {
            let Some((program, script)) = command else { continue };
            let version = match Peer::start(program, script.as_deref(), peer, threads)? {
                Ok(peer) => {
                    let version = format!("{} {}", peer.title, peer.version);
                    *place = Some(peer);
                    version
                }
                Err(reason) => format!("{} is left out: {reason}", peer.0),
            };
            if !self.versions.contains(&version) {
                self.versions.push(version);
            }
        }
        Ok(started)
    }

    /// Measures a workload and adds its row.
    fn row(&mut self, workload: &Workload, threads: usize, peers: &mut [Option<Peer>; PEERS]) -> Result<(), String> {
        let name = format!("{}, {threads} thread{}", workload.name, if threads == 1 { "" } else { "s" });
        let mut work = (workload.build)();
        let file = self.folder.join("workload.npz");
        std::fs::write(&file, npz::encode(&work.arrays, false))
            .map_err(|problem| format!("{}: {problem}", file.display()))?;
        work.arrays.clear();

        let mut everyone = vec![Who::Gradus];
        if !matches!(work.limit, Limit::None) {
            everyone.push(Who::Limit);
        }
        let mut difference = f64::NAN;
        for (number, peer) in peers.iter_mut().enumerate() {
            let Some(peer) = peer else { continue };
            let found = peer.set_up(workload.name, &file).and_then(|ways| match &ways[..] {
                [] => Ok(BTreeMap::new()),
                _ => peer.check(),
            });
            match found {
                Err(problem) => self.faults.push(format!("{name}: {problem}")),
                Ok(found) => {
                    for (way, theirs) in found {
                        match compare(&work.numbers, &theirs, workload.tolerance) {
                            Ok(largest) => {
                                difference = largest.max(difference);
                                everyone.push(Who::Peer(number, way));
                            }
                            Err(problem) => self.faults.push(format!("{name}: {} ({way}): {problem}", peer.title)),
                        }
                    }
                }
            }
        }
        let mut turns: Vec<Turns> =
            everyone.into_iter().map(|who| Turns { who, repeat: 1, times: Vec::new(), is_out: false }).collect();
        self.take_turns(&name, &mut turns, &mut work, threads, peers);

        let of =
            |turns: Option<&Turns>| turns.map_or([f64::NAN; 2], |turns| [turns.median() * 1e6, turns.least() * 1e6]);
        let own = of(turns.first());
        let best: [_; PEERS] = std::array::from_fn(|peer| {
            let ways = turns.iter().filter(|turns| matches!(&turns.who, Who::Peer(number, _) if *number == peer));
            ways.filter(|turns| !turns.is_out).min_by(|a, b| a.median().total_cmp(&b.median()))
        });
        for (turns, (title, _)) in best.iter().zip(NAMES) {
            if let Some(Turns { who: Who::Peer(_, way), .. }) = turns {
                self.best.entry(format!("{title}, {way}")).or_default().push(format!("{}, {threads}t", workload.name));
            }
        }
        let times = best.map(of);
        let limit = of(turns.iter().find(|turns| turns.who == Who::Limit))[0] * Yardsticks::times(work.limit, threads);
        let goal = workload.goal.map_or(f64::NAN, |goal| goal[threads - 1]);
        // The least passes over what is NaN, which is a peer that is not there.
        let ahead = times.iter().map(|times| times[0]).fold(f64::NAN, f64::min) / own[0];
        if ahead < goal {
            self.below.push(format!("{name} {ahead:.2} of {goal}"));
        }
        let ratio = |time: f64| time / own[0];
        let medians = times.map(|times| times[0]);
        eprint!("{name}: Gradus {:.1} µs", own[0]);
        for ((title, _), median) in NAMES.iter().zip(medians).filter(|(_, median)| !median.is_nan()) {
            eprint!(", {title} {median:.1} µs");
        }
        eprintln!();
        let columns = [&own[..], times.as_flattened(), &medians.map(ratio), &[goal, limit, ratio(limit), difference]];
        self.table.row(format!("{name}: {}", workload.title), &columns.concat());
        Ok(())
    }

    /// Lets all take turns. A peer that fails is out, and the fault is noted.
    fn take_turns(
        &mut self,
        name: &str,
        turns: &mut [Turns],
        work: &mut Work,
        threads: usize,
        peers: &mut [Option<Peer>; PEERS],
    ) {
        let mut time = |turns: &Turns, repeat: usize| match &turns.who {
            Who::Gradus => Ok(seconds(&mut || work.run.run(), repeat)),
            Who::Limit => Ok(self.yardsticks.time(work.limit, repeat, threads)),
            Who::Peer(number, way) => match &mut peers[*number] {
                Some(peer) => peer.time(way, repeat),
                None => Err("the peer is not there".to_owned()),
            },
        };
        let mut faults = Vec::new();
        let mut fail = |turns: &mut Turns, problem: String| {
            faults.push(format!("{name}: {problem}"));
            turns.is_out = true;
        };
        for turns in turns.iter_mut() {
            sleep(PAUSE);
            if let Err(problem) = find_repeat(turns, &mut time) {
                fail(turns, problem);
            }
        }
        let start = Instant::now();
        for round in 0..ROUNDS {
            if round >= FEWEST && start.elapsed() > LONG {
                break;
            }
            for turns in turns.iter_mut().filter(|turns| !turns.is_out) {
                sleep(PAUSE);
                match time(turns, turns.repeat) {
                    Ok(seconds) => turns.times.push(seconds),
                    Err(problem) => fail(turns, problem),
                }
            }
            if round + 1 == TRIED {
                leave_out(turns);
            }
        }
        self.faults.extend(faults);
    }

    /// The table with its notes, and whether nothing was wrong.
    fn end(self) -> (Table, bool) {
        let Self { mut table, versions, best, below, faults, .. } = self;
        table.note(format!(
            "medians and least of at most {ROUNDS} turns each; ratios are of medians, to the goal the better peer's"
        ));
        table.note("difference: the largest of losses and samples of gradients or outputs, as a share of the largest number of their array");
        table.note("limit: the products at the rate of one of 512×512×512 on a core, times the threads; or the bytes at the rate of a copy; of W9 the elements at that of a plain pass over as many arrays");
        versions.into_iter().for_each(|version| table.note(version));
        best.into_iter().for_each(|(way, rows)| table.note(format!("{way}: {}", rows.join("; "))));
        if !below.is_empty() {
            table.note(format!("below the goal: {}", below.join("; ")));
        }
        let is_right = faults.is_empty();
        faults.into_iter().for_each(|fault| table.note(fault));
        (table, is_right)
    }
}

/// Finds how much work fills a turn.
fn find_repeat(turns: &mut Turns, time: &mut impl FnMut(&Turns, usize) -> Result<f64, String>) -> Result<(), String> {
    let mut repeat = 1;
    loop {
        let one = time(turns, repeat)?;
        if one * repeat as f64 >= TURN / 2.0 || repeat >= 1 << 24 {
            turns.repeat = ((TURN / one).ceil() as usize).max(1);
            return Ok(());
        }
        repeat *= 4;
    }
}

/// Leaves out the ways of each peer that are far behind its best.
fn leave_out(turns: &mut [Turns]) {
    for peer in 0..PEERS {
        let is_of = |turns: &Turns| matches!(&turns.who, Who::Peer(number, _) if *number == peer) && !turns.is_out;
        let best = turns.iter().filter(|turns| is_of(turns)).map(Turns::least).fold(f64::INFINITY, f64::min);
        turns.iter_mut().filter(|turns| is_of(turns)).for_each(|turns| turns.is_out = turns.least() > BEHIND * best);
    }
}

/// The largest difference, as a share of the largest number of its array.
fn compare(own: &Numbers, theirs: &Numbers, tolerance: f64) -> Result<f64, String> {
    let mut largest = 0.0_f64;
    for (name, own) in own {
        let theirs = theirs.get(name).filter(|theirs| theirs.len() == own.len());
        let theirs = theirs.ok_or_else(|| format!("`{name}` is missing, or has another number of numbers"))?;
        let scale = own.iter().fold(f64::MIN_POSITIVE, |scale, number| scale.max(number.abs()));
        for (own, theirs) in own.iter().zip(theirs) {
            let difference = (own - theirs).abs() / scale;
            if difference.is_nan() || difference > tolerance {
                return Err(format!(
                    "`{name}` has {theirs:e} where Gradus has {own:e}: {difference:.1e} of the largest number, where \
                     {tolerance:.0e} are allowed; it is not timed"
                ));
            }
            largest = largest.max(difference);
        }
    }
    Ok(largest)
}

/// A product, a copy and a pass.
struct Yardsticks {
    factor: Vec<f32>,
    product: Vec<f32>,
    workspace: Vec<f32>,
    arrays: [Vec<f32>; 4],
}

impl Yardsticks {
    const SIZE: usize = 512;
    const COUNT: usize = 10_000_000;

    fn new() -> Self {
        Self {
            factor: numbers(Self::SIZE * Self::SIZE),
            product: vec![0.0; Self::SIZE * Self::SIZE],
            workspace: vec![0.0; f32::workspace(Self::SIZE, Self::SIZE, Self::SIZE)],
            arrays: [(); 4].map(|()| vec![1.0; Self::COUNT]),
        }
    }

    /// How many products on a core, or copies or passes on all, a workload takes at least.
    fn times(limit: Limit, threads: usize) -> f64 {
        match limit {
            Limit::None => f64::NAN,
            Limit::Products(multiplications) => multiplications as f64 / (Self::SIZE.pow(3) * threads) as f64,
            // A copy reads and writes.
            Limit::Bytes(bytes) => bytes as f64 / (8 * Self::COUNT) as f64,
            Limit::Pass(elements) => elements as f64 / Self::COUNT as f64,
        }
    }

    /// The seconds for a product, a copy or a pass.
    fn time(&mut self, limit: Limit, repeat: usize, threads: usize) -> f64 {
        match limit {
            Limit::None => f64::NAN,
            Limit::Products(_) => {
                let size = Self::SIZE;
                let factor = MatrixView { data: &self.factor, offset: 0, row: size as isize, col: 1 };
                let mut product = || {
                    let (product, workspace) = (black_box(&mut self.product), &mut self.workspace);
                    f32::gemm(size, size, size, factor, factor, false, product, workspace);
                };
                seconds(&mut product, repeat)
            }
            Limit::Bytes(_) => {
                let half = Self::COUNT / threads;
                let [from, to, ..] = &mut self.arrays;
                let mut copy = || {
                    let (from, to) = (from.split_at(half), black_box(&mut *to).split_at_mut(half));
                    rayon::join(|| to.0.copy_from_slice(from.0), || to.1.copy_from_slice(from.1));
                };
                seconds(&mut copy, repeat)
            }
            Limit::Pass(_) => {
                let half = Self::COUNT / threads;
                let mut pass = || {
                    let halves = black_box(&mut self.arrays).each_mut().map(|array| array.split_at_mut(half));
                    let [a, b, c, d] = halves;
                    rayon::join(|| vectorized(Pass([a.0, b.0, c.0, d.0])), || vectorized(Pass([a.1, b.1, c.1, d.1])));
                };
                seconds(&mut pass, repeat)
            }
        }
    }
}

/// Changes three arrays in place by the numbers of the first.
struct Pass<'a>([&'a mut [f32]; 4]);

impl Loop for Pass<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let [x, a, b, c] = self.0;
        let (a, b, c) = (&mut a[..x.len()], &mut b[..x.len()], &mut c[..x.len()]);
        for i in 0..x.len() {
            (a[i], b[i], c[i]) = (0.5 * a[i] + x[i], 0.5 * b[i] + x[i], 0.5 * c[i] - x[i]);
        }
    }
}
