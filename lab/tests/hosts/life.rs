//! Up and down, again and again, broken off anywhere, side by side.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lab::{Error, Guard, HostSpec, Lab, LabFile, Options, Paths, Phase};

use crate::support::{bare, traces, until, up};

/// What is there first at some moment of a boot.
type First = fn(&Paths) -> PathBuf;

#[test]
fn down_leaves_nothing_and_may_be_repeated() {
    let options = bare("down");
    let lab = up(&options);
    assert!(
        !traces(&options.name).is_empty(),
        "the search for traces finds nothing"
    );
    // Processes that nobody waits for, on both sides.
    for host in ["server", "jumpbox", "connected"] {
        lab.read(host, &["sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 &"])
            .unwrap();
    }
    assert!(Lab::down(&options.name).unwrap());
    assert_eq!(traces(&options.name), Vec::<String>::new());
    assert_eq!(Lab::left(&options.name).unwrap(), Vec::<String>::new());
    assert!(!Lab::down(&options.name).unwrap());
    assert_eq!(traces(&options.name), Vec::<String>::new());
}

#[test]
fn up_takes_a_lab_that_is_up_as_it_is_and_refuses_other_options() {
    let options = bare("again");
    let lab = up(&options);
    let id = ["cat", "/proc/sys/kernel/random/boot_id", "/proc/1/stat"];
    let before = lab.read("jumpbox", &id).unwrap();
    let again = Lab::up(&options, &|_| {}).unwrap();
    assert_eq!(again.read("jumpbox", &id).unwrap(), before, "it was booted anew");
    let other = Options { nodes: 2, ..options };
    let error = Lab::up(&other, &|_| {}).unwrap_err();
    assert!(
        matches!(&error, Error::Different { difference, .. } if difference == "nodes is 1, not 2"),
        "{error}"
    );
}

#[test]
fn up_boots_a_lab_anew_whose_host_died() {
    let options = bare("dead");
    let lab = up(&options);
    let root = lab.root("node-0").unwrap();
    let pid = root.iter().nth(2).unwrap();
    assert!(
        Command::new("kill")
            .arg("-9")
            .arg(pid)
            .status()
            .unwrap()
            .success()
    );
    until("the end of node-0", || lab.root("node-0").is_err());
    assert!(matches!(
        lab.exec("node-0", &["true"]),
        Err(Error::NotRunning { .. })
    ));
    let again = Lab::up(&options, &|_| {}).unwrap();
    again.read("node-0", &["systemctl", "is-system-running"]).unwrap();
}

#[test]
fn a_boot_killed_at_any_moment_leaves_nothing_after_down() {
    let paths = |options: &Options| Paths::new(&options.name);
    // Each moment is named by what is there first.
    let moments: [(&str, First); 7] = [
        ("record", Paths::record),
        ("netns", |paths| paths.netns("switch")),
        ("host", |paths| paths.netns("connected")),
        ("cgroup", |paths| {
            Path::new("/sys/fs/cgroup/systemd").join(paths.global_name("server"))
        }),
        ("console", |paths| paths.host("server").join("console.log")),
        ("init", |paths| paths.host("jumpbox").join("init.pid")),
        // With Kubernetes: the control plane starts.
        ("etcd", |paths| paths.host("server").join("var/lib/etcd/member")),
    ];
    for (moment, path) in moments {
        let options = bare(&format!("kill-{moment}"));
        let path = path(&paths(&options));
        let mut boot = Command::new(env!("CARGO_BIN_EXE_lab"));
        boot.args(["up", "--nodes", "1", "--name", &options.name]);
        if moment != "etcd" {
            boot.arg("--bare");
        }
        let mut boot = boot.stderr(Stdio::null()).spawn().unwrap();
        until(moment, || path.exists() || boot.try_wait().unwrap().is_some());
        boot.kill().unwrap();
        boot.wait().unwrap();
        Lab::down(&options.name).unwrap();
        assert_eq!(
            traces(&options.name),
            Vec::<String>::new(),
            "killed when {} was there",
            path.display()
        );
    }
}

#[test]
fn an_up_that_comes_second_waits_and_takes_the_first_ones_lab() {
    let options = bare("twice");
    let said = std::sync::Mutex::new(Vec::new());
    let say = |line: &str| said.lock().unwrap().push(line.to_owned());
    std::thread::scope(|scope| {
        let boots: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| Lab::up(&options, &say).map(drop)))
            .collect();
        for boot in boots {
            boot.join().unwrap().unwrap();
        }
    });
    let count = |part: &str| {
        said.lock()
            .unwrap()
            .iter()
            .filter(|line| line.contains(part))
            .count()
    };
    assert_eq!((count("booting"), count("is up already")), (1, 1));
    Lab::down(&options.name).unwrap();
    assert_eq!(traces(&options.name), Vec::<String>::new());
}

#[test]
fn up_after_a_killed_boot_succeeds() {
    let options = bare("revive");
    let mut boot = Command::new(env!("CARGO_BIN_EXE_lab"))
        .args(["up", "--bare", "--nodes", "1", "--name", &options.name])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let console = Paths::new(&options.name).host("server").join("console.log");
    until("server's console", || console.exists());
    boot.kill().unwrap();
    boot.wait().unwrap();
    let lab = up(&options);
    lab.read("server", &["systemctl", "is-system-running"]).unwrap();
}

#[test]
fn a_guards_lab_goes_when_the_next_guard_finds_its_process_gone() {
    // A process of its own that boots a guarded lab and is killed: this very test program.
    let options = bare("orphan");
    if std::env::var_os("LAB_TEST_ORPHAN").is_some() {
        let name = std::env::var("LAB_TEST_ORPHAN").unwrap();
        let _lab = up(&Options { name, ..options });
        loop {
            std::thread::park();
        }
    }
    let test = "life::a_guards_lab_goes_when_the_next_guard_finds_its_process_gone";
    let mut other = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test])
        .env("LAB_TEST_ORPHAN", &options.name)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    until("the other's lab", || {
        Lab::open(&options.name).is_ok_and(|lab| lab.phase().is_ok_and(|phase| phase == Phase::Up))
    });
    let next = up(&bare("next"));
    assert!(
        Lab::open(&options.name).is_ok(),
        "a lab whose process lives was ended"
    );
    drop(next);
    other.kill().unwrap();
    other.wait().unwrap();
    let _next = up(&bare("next"));
    assert_eq!(traces(&options.name), Vec::<String>::new());
}

#[test]
fn labs_side_by_side_do_not_touch_each_other() {
    // One name is the beginning of the other.
    let (one, two) = (bare("pair"), bare("pair-two"));
    let (first, second) = std::thread::scope(|scope| {
        let first = scope.spawn(|| up(&one));
        let second = scope.spawn(|| up(&two));
        (first.join().unwrap(), second.join().unwrap())
    });
    let id = ["ssh", "server", "cat", "/etc/machine-id"];
    let read = |lab: &Guard| lab.read("jumpbox", &id).unwrap();
    assert_ne!(read(&first), read(&second));
    let before = read(&second);
    drop(first);
    assert_eq!(traces(&one.name), Vec::<String>::new());
    assert_eq!(read(&second), before);
    assert!(second.layout().hosts.iter().all(|host| second.is_running(host)));
}

#[test]
fn files_programs_and_units_of_a_spec_are_in_the_host() {
    let options = bare("spec");
    let unit =
        "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/usr/local/bin/touch-it /run/touched\n";
    let spec = HostSpec {
        host: "server".to_owned(),
        files: vec![
            LabFile::new("/etc/systemd/system/touched.service", unit),
            LabFile::secret("/var/lib/kubelet/secret", "text"),
        ],
        programs: vec![("/usr/bin/touch".into(), "/usr/local/bin/touch-it".into())],
        units: vec!["touched.service".to_owned()],
    };
    Lab::up_with(&options, &[spec], &|_| {}).unwrap();
    // Takes the lab as it is, and ends it with the test.
    let lab = up(&options);
    lab.read("server", &["test", "-e", "/run/touched"]).unwrap();
    let mode = ["stat", "-c", "%a %U", "/var/lib/kubelet/secret"];
    assert_eq!(lab.read("server", &mode).unwrap(), "600 root\n");
    // Writing to a program in a host must not reach the machine's own file.
    lab.read("server", &["sh", "-c", "echo broken >/usr/local/bin/touch-it"])
        .unwrap();
    assert!(std::fs::read("/usr/bin/touch").unwrap().starts_with(b"\x7fELF"));
}

#[test]
fn a_boot_whose_unit_fails_names_the_unit() {
    let options = bare("fails");
    let spec = HostSpec {
        host: "server".to_owned(),
        files: vec![LabFile::new(
            "/etc/systemd/system/broken.service",
            "[Service]\nType=oneshot\nExecStart=/bin/false\n",
        )],
        programs: Vec::new(),
        units: vec!["broken.service".to_owned()],
    };
    let error = Lab::up_with(&options, &[spec], &|_| {}).unwrap_err();
    Lab::down(&options.name).unwrap();
    assert!(error.to_string().contains("broken.service"), "{error}");
    assert_eq!(traces(&options.name), Vec::<String>::new());
}

#[test]
fn a_restarted_host_is_in_another_life_and_has_what_its_files_say() {
    let options = bare("restart");
    let lab = up(&options);
    let life = |host: &str| {
        lab.read(host, &["cat", "/proc/sys/kernel/random/boot_id"])
            .unwrap()
    };
    let (server, node) = (life("server"), life("node-0"));
    assert_ne!(server, node);
    let by_hand =
        "touch /root/kept /run/lost; ip route add 10.99.0.0/24 via 192.168.10.100; iptables -N BY-HAND";
    lab.read("node-0", &["sh", "-c", by_hand]).unwrap();
    lab.restart(&["node-0"], &|_| {}).unwrap();
    assert_eq!(life("server"), server);
    assert_ne!(life("node-0"), node);
    let left = "test -e /root/kept; test ! -e /run/lost; ! ip route | grep 10.99; ! iptables -S | grep BY-HAND; timeout 5 bash -c '</dev/tcp/server/22'";
    lab.read("node-0", &["sh", "-ec", left]).unwrap();
    assert!(matches!(
        lab.restart(&["jumpbox"], &|_| {}),
        Err(Error::Options(_))
    ));
}
