//! What the kernel says about a process, and how much of a processor it gets.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::{fs, io};

use crate::gateway::signal;

/// A line of `/proc/PID/status`, such as `VmRSS:` or `VmHWM:`, in MiB; zero for a process that is gone.
pub fn memory(pid: u32, line: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let found = status.lines().find_map(|text| text.strip_prefix(line));
    let kib = found.and_then(|rest| rest.trim_end_matches("kB").trim().parse::<f64>().ok());
    kib.unwrap_or_default() / 1024.0
}

/// Open descriptors.
pub fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map(Iterator::count).unwrap_or_default()
}

/// Processes that get half of one processor together, until it is dropped.
pub struct Slowed(Means);

enum Means {
    /// A control group (version 1) with a quota of processor time.
    Group(PathBuf),
    /// They are stopped for half of the time.
    Turns(Child, Vec<u32>),
}

/// Where control groups with processor time are, if they are.
const GROUPS: &str = "/sys/fs/cgroup/cpu";
const PERIOD_US: u32 = 100_000;

impl Slowed {
    pub fn start(processes: &[u32]) -> Self {
        let group = Path::new(GROUPS).join(format!("octroi-tests-{}", processes[0]));
        let quota = PERIOD_US / 2;
        let made = fs::create_dir(&group)
            .and_then(|()| fs::write(group.join("cpu.cfs_period_us"), PERIOD_US.to_string()))
            .and_then(|()| fs::write(group.join("cpu.cfs_quota_us"), quota.to_string()))
            .and_then(|()| enter(&group, processes));
        if made.is_ok() {
            return Self(Means::Group(group));
        }
        let _ = fs::remove_dir(&group);
        let all: Vec<String> = processes.iter().map(u32::to_string).collect();
        let all = all.join(" ");
        // They share one processor in turns of 25 ms, each half of the time.
        let turns =
            format!("while kill -STOP {all}; do sleep 0.025; kill -CONT {all}; sleep 0.025; done");
        let turns = Command::new("sh").args(["-c", &turns]).stderr(Stdio::null()).spawn().unwrap();
        Self(Means::Turns(turns, processes.to_vec()))
    }

    /// For the reader of figures.
    pub fn how(&self) -> &'static str {
        match self.0 {
            Means::Group(_) => "a control group with half of one processor",
            Means::Turns(..) => "SIGSTOP and SIGCONT in turns",
        }
    }
}

impl Drop for Slowed {
    fn drop(&mut self) {
        match &mut self.0 {
            Means::Group(group) => {
                let text = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
                let left: Vec<u32> = text.lines().filter_map(|line| line.parse().ok()).collect();
                let _ = enter(Path::new(GROUPS), &left);
                let _ = fs::remove_dir(group);
            }
            Means::Turns(turns, processes) => {
                let _ = turns.kill();
                let _ = turns.wait();
                processes.iter().for_each(|process| signal(*process, "CONT"));
            }
        }
    }
}

fn enter(group: &Path, processes: &[u32]) -> io::Result<()> {
    let procs = group.join("cgroup.procs");
    processes.iter().try_for_each(|process| fs::write(&procs, process.to_string()))
}

/// Processor time that a process has used, in seconds.
pub fn processor_seconds(pid: u32) -> f64 {
    /// Linux counts it for user programs in hundredths, whatever the kernel's own clock.
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name may have blanks and parentheses; after it come the state and the numbers.
    let numbers = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    let ticks = numbers.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<f64>().ok());
    ticks.sum::<f64>() / TICKS_PER_SECOND
}

/// A control group whose processes may have so much memory together, until it is dropped.
pub struct Capped {
    group: PathBuf,
    /// Where the kernel counts whom it has killed.
    kills: PathBuf,
}

impl Capped {
    /// `None` where no control group can be made here.
    pub fn at(bytes: u64) -> Option<Self> {
        let name = format!("octroi-tests-{}-{bytes}", std::process::id());
        let first = Path::new("/sys/fs/cgroup/memory");
        let (group, limit, kills) = if first.is_dir() {
            (first.join(name), "memory.limit_in_bytes", "memory.oom_control")
        } else {
            (Path::new("/sys/fs/cgroup").join(name), "memory.max", "memory.events")
        };
        let made =
            fs::create_dir(&group).and_then(|()| fs::write(group.join(limit), bytes.to_string()));
        if made.is_err() {
            let _ = fs::remove_dir(&group);
            return None;
        }
        let kills = group.join(kills);
        Some(Self { group, kills })
    }

    /// What a process is started under, so that all its memory counts.
    pub fn command(&self) -> [String; 3] {
        let enter =
            format!("echo $$ > {}/cgroup.procs && exec \"$0\" \"$@\"", self.group.display());
        ["sh".to_owned(), "-c".to_owned(), enter]
    }

    /// How many processes the kernel has killed for lack of memory.
    pub fn kills(&self) -> u64 {
        let text = fs::read_to_string(&self.kills).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        line.expect("the kernel counts its kills").trim().parse().unwrap()
    }
}

impl Drop for Capped {
    fn drop(&mut self) {
        // Its processes have been ended before; the kernel may take a moment to notice.
        for _ in 0..100 {
            if fs::remove_dir(&self.group).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}
