//! A real sshd on loopback, in a mount namespace of its own: there it may have other users, another sudoers and
//! directories where nothing runs, and the machine sees none of it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use secrets::Secret;
use tempfile::TempDir;
use verifier::carrier::ssh::{Escalation, Route, Target};

/// Sudo's password of `op`.
pub(crate) const PASSWORD: &str = "correct horse";
/// Longer than anything here takes.
pub(crate) const SOON: Duration = Duration::from_mins(1);
/// The directories that an agent may be put into, as `op` and root have them.
const PLACES: [&str; 5] = ["root/.cache", "home/op/.cache", "var/tmp", "tmp", "run"];

/// What is unusual about a host.
#[derive(Default)]
pub(crate) struct Kind<'a> {
    /// Lines for sshd_config.
    pub(crate) config: &'a str,
    /// Directories on which nothing may be executed.
    pub(crate) noexec: &'a [&'a str],
    /// The sudoers file.
    pub(crate) sudoers: &'a str,
    /// The login shell of `op`.
    pub(crate) shell: Option<&'a str>,
    /// What `op`'s .bashrc does.
    pub(crate) bashrc: &'a str,
    /// What PAM does for sudo, instead of what it does on this machine.
    pub(crate) pam: &'a str,
    /// A second line of `op`'s shadow entry: the days behind the password; none: one that is good for ever.
    pub(crate) shadow: Option<&'a str>,
    /// A program that stands where sudo does.
    pub(crate) sudo: Option<&'a Path>,
    /// Further ports on which it listens.
    pub(crate) ports: usize,
    /// The only programs of the host, all of busybox; none: those of this machine.
    pub(crate) only: &'a [&'a str],
}

/// A running sshd.
pub(crate) struct Sshd {
    child: Child,
    port: u16,
    more: Vec<u16>,
    log: Arc<Mutex<String>>,
    dir: TempDir,
}

/// An ssh-agent with some keys.
pub(crate) struct KeyAgent {
    child: Child,
    socket: PathBuf,
}

impl KeyAgent {
    pub(crate) fn start(host: &Sshd, keys: &[PathBuf]) -> Self {
        let socket = host.path("agent");
        let _ = fs::remove_file(&socket);
        let child = Command::new("ssh-agent")
            .args(["-D", "-a"])
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let agent = Self { child, socket };
        let add = || {
            Command::new("ssh-add")
                .arg("-q")
                .args(keys)
                .env("SSH_AUTH_SOCK", &agent.socket)
                .status()
        };
        while !agent.socket.exists() || !add().unwrap().success() {
            std::thread::sleep(Duration::from_millis(5));
        }
        agent
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.socket.clone()
    }
}

impl Drop for KeyAgent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| {
            panic!("these tests need {program} (apt-get install openssh-server openssl sudo): {error}")
        });
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {text}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Makes a key pair without comment.
pub(crate) fn keygen(path: &Path, kind: &str, passphrase: &str) {
    let path = path.to_str().unwrap();
    run(
        "ssh-keygen",
        &["-q", "-t", kind, "-N", passphrase, "-C", "test", "-f", path],
    );
}

impl Sshd {
    /// Starts a host on which root and `op` may log in with the key `id`.
    pub(crate) fn start(kind: &Kind) -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "these tests need root: they start an sshd"
        );
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let path = dir.path();
        keygen(&path.join("host"), "ed25519", "");
        keygen(&path.join("id"), "ed25519", "");
        fs::copy(path.join("id.pub"), path.join("authorized")).unwrap();
        let free: Vec<TcpListener> = (0..=kind.ports)
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        let mut more: Vec<u16> = free
            .iter()
            .map(|port| port.local_addr().unwrap().port())
            .collect();
        drop(free);
        let port = more.remove(0);
        let ports: Vec<String> = more.iter().map(|port| format!("Port {port}")).collect();
        let ports = ports.join("\n");
        let root = path.display();
        // Of a setting that stands twice sshd takes the first.
        let config = format!(
            "{}\n{ports}\nPort {port}\nListenAddress 127.0.0.1\nHostKey {root}/host\nPidFile none\nStrictModes no\nUsePAM no\n\
             AuthorizedKeysFile {root}/authorized\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n",
            kind.config
        );
        let chroot = if kind.only.is_empty() {
            String::new()
        } else {
            format!("ChrootDirectory {root}/small\n")
        };
        fs::write(path.join("config"), config + &chroot).unwrap();
        write_users(path, kind);
        write_small(path, kind.only);
        fs::write(path.join("enter"), enter(path, kind)).unwrap();
        let mut child = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-e"])
            .arg(path.join("enter"))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        while said.matches("Server listening").count() <= kind.ports {
            let line = lines
                .next()
                .unwrap_or_else(|| panic!("sshd did not start: {said}"))
                .unwrap();
            said = format!("{said}\n{line}");
        }
        // Its log must be read, or it would block one day.
        let log = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                kept.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        Self {
            child,
            port,
            more,
            log,
            dir,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// How often its log has a text so far.
    pub(crate) fn said(&self, text: &str) -> usize {
        self.log.lock().unwrap().matches(text).count()
    }

    /// Waits until its log has a text.
    pub(crate) fn wait_for(&self, text: &str) {
        let start = Instant::now();
        while self.said(text) == 0 {
            assert!(start.elapsed() < SOON, "{text:?} never came");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The further ports.
    pub(crate) fn ports(&self) -> &[u16] {
        &self.more
    }

    /// Cuts all its connections: ends each process of sshd but the one that listens.
    pub(crate) fn cut(&self) {
        let own = self.child.id();
        let children = fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap();
        let connections: Vec<&str> = children.split_whitespace().collect();
        assert!(!connections.is_empty(), "nobody is connected");
        for connection in connections {
            run("kill", &["-KILL", connection]);
        }
    }

    /// Lets another key in.
    pub(crate) fn authorize(&self, public: &Path) {
        let mut text = fs::read_to_string(self.path("authorized")).unwrap();
        text += &fs::read_to_string(public).unwrap();
        fs::write(self.path("authorized"), text).unwrap();
    }

    /// The host as a target; its key is known, root logs in.
    pub(crate) fn target(&self) -> Target {
        let known_hosts = self.path("known_hosts");
        if !known_hosts.exists() {
            let key = fs::read_to_string(self.path("host.pub")).unwrap();
            fs::write(&known_hosts, format!("[127.0.0.1]:{} {key}", self.port)).unwrap();
        }
        Target {
            name: "node-0".to_owned(),
            address: "127.0.0.1".to_owned(),
            port: self.port,
            user: "root".to_owned(),
            identity: Some(self.path("id")),
            certificate: None,
            passphrase: None,
            key_agent: None,
            known_hosts,
            escalation: Escalation::None,
            route: Route::Direct,
        }
    }

    /// The host as `op` with sudo.
    pub(crate) fn op(&self, password: Option<&str>) -> Target {
        Target {
            user: "op".to_owned(),
            escalation: Escalation::Sudo(password.map(Secret::new)),
            ..self.target()
        }
    }

    /// What agents have left in any directory of the host.
    pub(crate) fn left(&self) -> Vec<PathBuf> {
        let root = PathBuf::from(format!("/proc/{}/root", self.child.id()));
        let mut places: Vec<PathBuf> = PLACES.iter().map(|place| root.join(place)).collect();
        places.push(self.path("home/.cache"));
        places.push(self.path("small/tmp"));
        let entries = places
            .iter()
            .filter_map(|place| fs::read_dir(place).ok())
            .flatten()
            .flatten();
        entries
            .map(|entry| entry.path())
            .filter(|path| path.display().to_string().contains("/.verifier-"))
            .collect()
    }

    /// Waits until nothing of ours is left on the host: no file, no process.
    pub(crate) fn nothing_is_left(&self) {
        let start = Instant::now();
        loop {
            let (left, running) = (self.left(), self.running());
            if left.is_empty() && running.is_empty() {
                return;
            }
            assert!(start.elapsed() < SOON, "left behind: {left:?} {running:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The agents and helpers that run on the host: whatever shares its mount namespace but sshd itself.
    fn running(&self) -> Vec<String> {
        let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
        let own = namespace(&self.child.id().to_string());
        let pids = fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok());
        let ours = pids.filter(|pid| pid.parse::<u32>().is_ok() && namespace(pid) == own);
        let names = ours.filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/cmdline")).ok());
        names
            .filter(|name| !name.is_empty() && !name.contains("sshd"))
            .collect()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes the account files of the host: those of this machine and `op`.
fn write_users(path: &Path, kind: &Kind) {
    let home = path.join("home");
    fs::create_dir_all(home.join(".cache")).unwrap();
    fs::write(home.join(".bashrc"), kind.bashrc).unwrap();
    let shell = kind.shell.unwrap_or("/bin/bash");
    let hash = run("openssl", &["passwd", "-6", PASSWORD]);
    let with = |file: &str, line: String| fs::read_to_string(file).unwrap() + &line;
    let passwd = with(
        "/etc/passwd",
        format!("op:x:5001:5001::{}:{shell}\n", home.display()),
    );
    fs::write(path.join("passwd"), passwd).unwrap();
    fs::write(
        path.join("shadow"),
        with(
            "/etc/shadow",
            format!("op:{hash}:{}\n", kind.shadow.unwrap_or("19000:0:99999:7:::")),
        ),
    )
    .unwrap();
    fs::write(
        path.join("sudoers"),
        format!("root ALL=(ALL) ALL\n{}\n", kind.sudoers),
    )
    .unwrap();
    let pam = if kind.pam.is_empty() {
        fs::read_to_string("/etc/pam.d/sudo").unwrap()
    } else {
        kind.pam.to_owned()
    };
    fs::write(path.join("pam"), pam).unwrap();
    fs::set_permissions(path.join("sudoers"), fs::Permissions::from_mode(0o440)).unwrap();
    for file in [&home, &home.join(".cache"), &home.join(".bashrc")] {
        std::os::unix::fs::chown(file, Some(5001), Some(5001)).unwrap();
    }
    // `op` must reach its home.
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Makes a root directory with nothing but busybox under some of its names.
fn write_small(path: &Path, names: &[&str]) {
    let bin = path.join("small/bin");
    fs::create_dir_all(&bin).unwrap();
    for name in ["tmp", "proc", "dev"] {
        fs::create_dir(path.join("small").join(name)).unwrap();
    }
    fs::set_permissions(path.join("small/tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
    for name in names {
        fs::copy("/bin/busybox", bin.join(name)).unwrap();
    }
}

/// The script that arranges the namespace and becomes sshd.
fn enter(path: &Path, kind: &Kind) -> String {
    let root = path.display();
    let text = format!(
        "umask 022\n\
         for f in passwd shadow sudoers; do mount --bind {root}/$f /etc/$f; done\n\
         mount --bind {root}/pam /etc/pam.d/sudo\n\
         mkdir -p /root/.cache\n\
         for d in /root/.cache /var/tmp /tmp /run /var/lib/sudo; do mount -t tmpfs -o mode=1777 tmpfs $d; done\n\
         chmod 755 /run\n\
         mkdir -m 755 /run/sshd /run/faillock\n\
         mount -t proc proc {root}/small/proc\n\
         mknod -m 666 {root}/small/dev/null c 1 3\n"
    );
    let sudo = kind.sudo.map_or_else(String::new, |sudo| {
        fs::copy(sudo, path.join("sudo")).unwrap();
        format!("chmod 4755 {root}/sudo\nmount --bind {root}/sudo /usr/bin/sudo\n")
    });
    let noexec = |place: &&str| {
        let place = place.replace("~op", &format!("{root}/home"));
        format!("mountpoint -q {place} || mount -t tmpfs tmpfs {place}\nmount -o remount,noexec {place}\n")
    };
    let noexec: String = kind.noexec.iter().map(noexec).collect();
    text + &sudo + &noexec + &format!("exec /usr/sbin/sshd -D -e -f {root}/config\n")
}
