//! A real containerd of one version, with directories and a socket of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use lab::cache::Cache;
use lab::components::{Components, Set};
use verifier::host::cri::Cri;
use verifier::protocol::CriImage;

/// How long a containerd may take to serve.
const START: Duration = Duration::from_mins(1);

pub(crate) struct Daemon {
    child: Child,
    programs: PathBuf,
    pub(crate) directory: tempfile::TempDir,
}

#[expect(clippy::print_stderr, reason = "the first run builds, which takes minutes")]
fn components() -> &'static Components {
    static COMPONENTS: OnceLock<Components> = OnceLock::new();
    COMPONENTS.get_or_init(|| {
        let say = |line: &str| eprintln!("{line}");
        lab::components::ensure(&Cache::user().unwrap(), &[Set::Core, Set::Old], &say).unwrap()
    })
}

impl Daemon {
    /// Starts the containerd of a component: `containerd-1.7`, or `containerd` for the newest.
    pub(crate) async fn start(component: &str) -> Self {
        Self::over(component, None).await
    }

    /// Starts one whose files lie on a file system of `size` bytes in memory.
    pub(crate) async fn on_small_disk(component: &str, size: u64) -> Self {
        Self::over(component, Some(size)).await
    }

    async fn over(component: &str, size: Option<u64>) -> Self {
        let programs = components().directory(component).unwrap().to_owned();
        let directory = tempfile::Builder::new()
            .prefix("verifier-containerd-")
            .tempdir()
            .unwrap();
        let path = directory.path();
        std::fs::create_dir(path.join("root")).unwrap();
        if let Some(size) = size {
            run(Command::new("mount")
                .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
                .arg(path.join("root")));
        }
        std::fs::write(path.join("config.toml"), configuration(path)).unwrap();
        let child = spawn(&programs, path);
        let daemon = Self {
            child,
            programs,
            directory,
        };
        daemon.serves().await;
        daemon
    }

    pub(crate) async fn restart(&mut self) {
        self.stop();
        self.child = spawn(&self.programs, self.directory.path());
        self.serves().await;
    }

    pub(crate) fn socket(&self) -> String {
        self.directory
            .path()
            .join("containerd.sock")
            .display()
            .to_string()
    }

    pub(crate) async fn cri(&self) -> Cri {
        Cri::connect(Some(&self.socket())).await.unwrap()
    }

    pub(crate) async fn image(&self, reference: &str) -> Option<CriImage> {
        self.cri().await.image_status(reference).await.unwrap()
    }

    /// Runs containerd's own client and returns its lines.
    pub(crate) fn ctr(&self, arguments: &[&str]) -> Vec<String> {
        let output = Command::new(self.programs.join("ctr"))
            .args(["-a", &self.socket(), "-n", "k8s.io"])
            .args(arguments)
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "ctr {arguments:?}: {errors}");
        String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect()
    }

    /// Returns everything that containerd holds: leases, images, blobs, unfinished blobs, snapshots.
    pub(crate) fn holds(&self) -> Vec<String> {
        let mut held = Vec::new();
        for list in [
            &["leases", "ls", "-q"][..],
            &["images", "ls", "-q"],
            &["content", "ls", "-q"],
            &["content", "active"],
            &["snapshots", "ls"],
        ] {
            let lines = self.ctr(list).into_iter();
            held.extend(lines.filter(|line| !line.starts_with("REF") && !line.starts_with("KEY")));
        }
        held
    }

    async fn serves(&self) {
        let begun = Instant::now();
        loop {
            let status = async { Cri::connect(Some(&self.socket())).await?.status().await };
            match status.await {
                Ok(_) => return,
                Err(error) if begun.elapsed() > START => {
                    let log = std::fs::read_to_string(self.directory.path().join("log"));
                    panic!("{error:?}\n{}", log.unwrap_or_default());
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    fn stop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop();
        // The small disk, and what ctr mounted through the daemon (2.x keeps that in its state).
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
        let places = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        let mut places: Vec<_> = places
            .filter(|place| Path::new(place).starts_with(self.directory.path()))
            .collect();
        places.sort_unstable();
        for place in places.into_iter().rev() {
            run(Command::new("umount").arg(place));
        }
    }
}

fn spawn(programs: &Path, directory: &Path) -> Child {
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(directory.join("log"))
        .unwrap();
    Command::new(programs.join("containerd"))
        .arg("--config")
        .arg(directory.join("config.toml"))
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

fn run(command: &mut Command) {
    let status = command.status().unwrap();
    assert!(status.success(), "{command:?}: {status}");
}

/// Version 2 of the configuration is read by all versions.
fn configuration(directory: &Path) -> String {
    let directory = directory.display();
    format!(
        r#"version = 2
root = "{directory}/root"
state = "{directory}/state"
[grpc]
address = "{directory}/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
path = "{directory}/opt"
[plugins."io.containerd.nri.v1.nri"]
disable = true
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "registry.example/pause:9"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{directory}/cni"
conf_dir = "{directory}/cni"
"#
    )
}
