//! The unit files are what systemd takes them for, and the gateway tells the service manager what it
//! wants to know.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use harness::gateway::{Gateway, free, path_text, signal};
use harness::redis_server::RedisServer;
use harness::{PATIENCE, eventually, octroi};

const UNITS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/systemd");
/// Of ten, as `systemd-analyze security` counts; "OK" ends at 4.9.
const EXPOSURE_MAX: &str = "15";

/// The version of systemd, where there is one.
fn systemd() -> Option<u32> {
    let told = Command::new("systemd-analyze").arg("--version").output().ok()?;
    String::from_utf8(told.stdout).ok()?.split_whitespace().nth(1)?.parse().ok()
}

#[test]
fn systemd_finds_no_fault_with_the_units_and_little_that_the_gateway_could_do_to_the_machine() {
    let Some(version) = systemd() else {
        println!("there is no systemd-analyze here");
        return;
    };
    let place = tempfile::tempdir().unwrap();
    let installed = octroi();
    for name in ["octroi.service", "octroi.socket"] {
        let unit = fs::read_to_string(Path::new(UNITS).join(name)).unwrap();
        let mut unit = unit.replace("/usr/bin/octroi", path_text(&installed));
        if version < 253 {
            // As the unit itself says.
            unit = unit
                .replace("Type=notify-reload", "Type=notify\nExecReload=/bin/kill -HUP $MAINPID");
        }
        fs::write(place.path().join(name), unit).unwrap();
    }
    let service = place.path().join("octroi.service");
    let verified = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .arg(&service)
        .arg(place.path().join("octroi.socket"))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&verified.stderr).into_owned();
    let ours: Vec<&str> = told.lines().filter(|line| line.contains("octroi.")).collect();
    assert!(verified.status.success() && ours.is_empty(), "{told}");
    let exposed = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager", "--threshold", EXPOSURE_MAX])
        .arg(&service)
        .output()
        .unwrap();
    assert!(exposed.status.success(), "{}", String::from_utf8_lossy(&exposed.stdout));
}

/// A gateway that a service manager of the test started.
struct Managed {
    child: Child,
    manager: UnixDatagram,
    successor: Option<u32>,
}

impl Managed {
    /// The next word of the gateway that is not its sign of life.
    fn told(&self) -> String {
        let mut word = [0; 4096];
        loop {
            let length = self.manager.recv(&mut word).unwrap();
            let word = String::from_utf8_lossy(&word[..length]).into_owned();
            if !word.contains("WATCHDOG=1") {
                return word;
            }
        }
    }
}

impl Drop for Managed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(successor) = self.successor {
            let _ = Command::new("kill").args(["-KILL", &successor.to_string()]).status();
        }
    }
}

#[test]
fn the_service_manager_is_told_when_it_is_ready_reloads_lives_hands_over_and_leaves() {
    let redis = RedisServer::start();
    let place = Gateway::sandbox().leave();
    let mut config = place.config();
    for name in ["tpp", "psu", "admin"] {
        config["listen"][name]["address"] = free().to_string().into();
    }
    config.insert("store".to_owned(), redis.settings().into());
    let file = place.file("managed.toml");
    fs::write(&file, toml::to_string(&config).unwrap()).unwrap();
    let socket = place.file("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let child = Command::new(octroi())
        .args(["run", "--config", path_text(&file)])
        .env("NOTIFY_SOCKET", &socket)
        .env("WATCHDOG_USEC", "600000")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut managed = Managed { child, manager, successor: None };
    assert!(managed.told().contains("READY=1"));

    let mut word = [0; 64];
    let length = managed.manager.recv(&mut word).unwrap();
    assert_eq!(&word[..length], b"WATCHDOG=1\n", "it lives");

    signal(managed.child.id(), "HUP");
    let told = managed.told();
    assert!(told.contains("RELOADING=1") && told.contains("MONOTONIC_USEC="), "{told}");
    assert!(managed.told().contains("READY=1"));

    // What is refused takes the reload back, and who asks `systemctl status` sees it.
    let sound = fs::read_to_string(&file).unwrap();
    for (text, shown) in [
        ("[listen", "STATUS=serving; the configuration on disk is refused"),
        (&*sound, "STATUS=serving\n"),
    ] {
        fs::write(&file, text).unwrap();
        signal(managed.child.id(), "HUP");
        assert!(managed.told().contains("RELOADING=1"));
        let told = managed.told();
        assert!(told.contains("READY=1") && told.contains(shown), "{told}");
    }

    signal(managed.child.id(), "USR2");
    // Of two processes, in any order.
    let told = [managed.told(), managed.told()];
    assert!(told.iter().any(|told| told.contains("READY=1")), "{told:?}");
    let pid = told.iter().find_map(|told| told.trim().strip_prefix("MAINPID="));
    let pid: u32 = pid.unwrap_or_else(|| panic!("{told:?}")).parse().unwrap();
    managed.successor = Some(pid);
    assert_ne!(pid, managed.child.id());
    assert!(managed.child.wait().unwrap().success());

    signal(pid, "TERM");
    assert!(managed.told().contains("STOPPING=1"));
    eventually("it is gone", || {
        let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        (status.is_empty() || status.contains(") Z")).then_some(())
    });
}
