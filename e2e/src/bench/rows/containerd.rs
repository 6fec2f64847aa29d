//! A containerd of its own beside the registry, on the same file system as what the rows make.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub(super) struct Containerd {
    programs: PathBuf,
    child: Child,
    place: TempDir,
}

impl Containerd {
    /// Starts it from a directory of programs, with its files below `near`.
    pub(super) fn start(programs: &Path, near: &Path) -> Result<Self, Box<dyn Error>> {
        let place = tempfile::Builder::new().prefix("containerd-").tempdir_in(near)?;
        let at = place.path().display();
        let configuration = format!(
            "version = 2\nroot = \"{at}/root\"\nstate = \"{at}/state\"\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\", \"io.containerd.cri.v1.images\", \"io.containerd.cri.v1.runtime\"]\n\
             [grpc]\naddress = \"{at}/sock\"\n[plugins.\"io.containerd.internal.v1.opt\"]\npath = \"{at}/opt\"\n\
             [plugins.\"io.containerd.nri.v1.nri\"]\ndisable = true\n"
        );
        std::fs::write(place.path().join("config.toml"), configuration)?;
        let child = Command::new(programs.join("containerd"))
            .arg("--config")
            .arg(place.path().join("config.toml"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let containerd = Self {
            programs: programs.to_owned(),
            child,
            place,
        };
        let deadline = Instant::now() + Duration::from_mins(1);
        while !containerd.run("version") {
            if Instant::now() > deadline {
                return Err("containerd does not serve".into());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(containerd)
    }

    /// Returns a command of `ctr` as a shell takes it.
    pub(super) fn ctr(&self, arguments: &str) -> String {
        let (ctr, at) = (self.programs.join("ctr"), self.place.path());
        format!("{} --address {}/sock {arguments}", ctr.display(), at.display())
    }

    fn run(&self, arguments: &str) -> bool {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &self.ctr(arguments)])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        shell.status().is_ok_and(|status| status.success())
    }

    /// Removes all images, with their blobs and snapshots.
    pub(super) fn empty(&self) {
        let list = self.ctr("images ls -q");
        let remove = self.ctr("images rm --sync");
        let script = format!("images=$({list}); [ -z \"$images\" ] || {remove} $images; sync");
        let status = Command::new("sh")
            .args(["-c", &script])
            .stdout(Stdio::null())
            .status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "containerd could not be emptied"
        );
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
