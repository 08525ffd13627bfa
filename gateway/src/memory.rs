//! How much memory the process may have where a control group bounds it, and how many connections that
//! is good for: beyond it the kernel would kill the gateway, and everybody's connection with it.

use std::fs;
use std::path::{Path, PathBuf};

/// A connection that sends all it can: TLS, the buffers of both sides, a body at its bound.
const CONNECTION_BYTES: u64 = 320 * 1024;
/// Kept for registers that are read anew beside those in force, and for records that wait.
const RESERVED_BYTES: u64 = 32 * 1024 * 1024;
/// What version 1 shows where there is no limit is near the end of its numbers.
const NO_LIMIT_BYTES: u64 = 1 << 60;

/// How many connections fit into the memory that is left; `None` where nothing bounds it.
#[must_use]
pub fn connections() -> Option<usize> {
    let limit = limit()?;
    Some(within(limit, used().unwrap_or(limit)))
}

fn within(limit: u64, used: u64) -> usize {
    let left = limit.saturating_sub(used).saturating_sub(RESERVED_BYTES);
    usize::try_from(left / CONNECTION_BYTES).unwrap_or(usize::MAX)
}

/// The least limit of the process's control group and those above it.
fn limit() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let files = groups.lines().filter_map(place).flat_map(|(root, group, file)| {
        let group = group.trim_start_matches('/').to_owned();
        let above: Vec<PathBuf> = Path::new(&group).ancestors().map(|g| root.join(g)).collect();
        above.into_iter().map(move |group| group.join(file))
    });
    let limits = files.filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok());
    limits.filter(|limit: &u64| *limit < NO_LIMIT_BYTES).min()
}

/// Where a line of `/proc/self/cgroup` leads: `0::PATH` (version 2), or `N:memory:PATH`.
fn place(line: &str) -> Option<(&'static Path, &str, &'static str)> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (controllers, group) = (parts.next()?, parts.next()?);
    if controllers.is_empty() {
        return Some((Path::new("/sys/fs/cgroup"), group, "memory.max"));
    }
    let memory = controllers.split(',').any(|name| name == "memory");
    memory.then_some((Path::new("/sys/fs/cgroup/memory"), group, "memory.limit_in_bytes"))
}

/// What the process has now.
fn used() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn both_versions_of_control_groups_are_found() {
        let (root, group, file) = place("0::/a/b").unwrap();
        assert_eq!((root, group, file), (Path::new("/sys/fs/cgroup"), "/a/b", "memory.max"));
        let (root, group, _) = place("4:cpu,memory:/c").unwrap();
        assert_eq!((root, group), (Path::new("/sys/fs/cgroup/memory"), "/c"));
        assert!(place("7:blkio:/").is_none() && place("").is_none());
    }

    #[test]
    fn the_connections_fit_into_what_is_left() {
        assert_eq!(within(256 * MIB, 96 * MIB), 409);
        assert_eq!(within(64 * MIB, 96 * MIB), 0);
        assert!(used().unwrap() > MIB);
    }
}
