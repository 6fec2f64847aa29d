//! How nginx and pause are made, and the variants of nginx.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use flate2::Compression;
use serde_json::{Value, json};

use super::layout::{Descriptor, Files, Layer, Layout, Settings};
use super::{NGINX, NGINX_MULTI, NGINX_OTHER, PAUSE, architecture, rootfs};
use crate::cache::Cache;
use crate::tool::Say;
use crate::{Error, run};

/// Part of the cache's key: to be raised when the recipe changes.
pub(super) const VERSION: u32 = 1;

/// Holds a pod's namespaces: waits for the end, and reaps what others leave to it.
const PAUSE_SOURCE: &str = r"
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void end(int signal) { (void)signal; _exit(0); }
static void reap(int signal) { (void)signal; while (waitpid(-1, 0, WNOHANG) > 0) {} }

int main(void) {
    struct sigaction ends = {.sa_handler = end}, reaps = {.sa_handler = reap, .sa_flags = SA_NOCLDSTOP};
    sigaction(SIGINT, &ends, 0);
    sigaction(SIGTERM, &ends, 0);
    sigaction(SIGCHLD, &reaps, 0);
    for (;;) pause();
}
";

/// Only IPv4: Debian's own file also listens on IPv6 and fails on kernels without it.
const NGINX_SITE: &str = "server {
    listen 80 default_server;
    root /var/www/html;
    index index.html index.nginx-debian.html;
    server_name _;
}
";

/// Makes the layouts `nginx`, `pause`, `multi` and `other` in a directory.
pub(super) fn make(cache: &Cache, directory: &Path, say: Say<'_>) -> Result<(), Error> {
    let base = rootfs::ensure(cache, &[], say)?;
    let whole = rootfs::ensure(cache, &["nginx-light"], say)?;
    say("writing the images' layers");
    nginx(directory, &base, &whole).map_err(Error::file("writing the images of nginx in", directory))?;
    pause(directory)
}

fn nginx(directory: &Path, base: &Path, whole: &Path) -> io::Result<()> {
    let mut nginx = Layout::create(directory.join("nginx"))?;
    let layers = nginx_layers(&nginx, base, whole)?;
    let native = nginx.image(&nginx_settings(), &layers)?;
    nginx.tag(&native, NGINX.tag);
    nginx.finish()?;
    multi(directory, &nginx, &layers)?;
    other(directory, &nginx, &layers)
}

fn nginx_layers(layout: &Layout, base: &Path, whole: &Path) -> io::Result<Vec<Layer>> {
    let level = Compression::default();
    let debian = layout.layer(&mut fs::File::open(base)?, level)?;
    let packages = rootfs::added(base, whole, Vec::new())?;
    let mut own = Files::new();
    own.link("var/log/nginx/access.log", "/dev/stdout")?;
    own.link("var/log/nginx/error.log", "/dev/stderr")?;
    own.file("etc/nginx/sites-available/default", 0o644, NGINX_SITE.as_bytes())?;
    Ok(vec![
        debian,
        layout.layer(&mut packages.as_slice(), level)?,
        layout.layer(&mut own.finish()?.as_slice(), level)?,
    ])
}

fn nginx_settings() -> Settings<'static> {
    Settings {
        architecture: architecture(),
        config: nginx_config(),
    }
}

fn nginx_config() -> Value {
    json!({
        "Entrypoint": ["nginx", "-g", "daemon off;"],
        "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
        "ExposedPorts": {"80/tcp": {}},
        "StopSignal": "SIGQUIT",
    })
}

/// An index over this machine's nginx and a tiny image of another architecture.
fn multi(directory: &Path, nginx: &Layout, layers: &[Layer]) -> io::Result<()> {
    let mut layout = Layout::create(directory.join("multi"))?;
    let native = copy(&layout, nginx, layers)?;
    let foreign = if architecture() == "arm64" {
        "amd64"
    } else {
        "arm64"
    };
    let mut files = Files::new();
    files.file(
        "README",
        0o644,
        format!("An image for {foreign}, to be left out.\n").as_bytes(),
    )?;
    let layer = layout.layer(&mut files.finish()?.as_slice(), Compression::default())?;
    let settings = Settings {
        architecture: foreign,
        config: json!({"Cmd": ["/README"]}),
    };
    let tiny = layout.image(&settings, &[layer])?;
    let index = layout.index(&BTreeMap::from([(architecture(), native), (foreign, tiny)]))?;
    layout.tag(&index, NGINX_MULTI.tag);
    layout.finish()
}

/// The same nginx with another page: other bytes, so another digest and another image id.
fn other(directory: &Path, nginx: &Layout, layers: &[Layer]) -> io::Result<()> {
    let mut layout = Layout::create(directory.join("other"))?;
    copy(&layout, nginx, layers)?;
    let mut files = Files::new();
    files.file(
        "var/www/html/index.html",
        0o644,
        b"<title>Not the nginx that was meant</title>\n",
    )?;
    let page = layout.layer(&mut files.finish()?.as_slice(), Compression::default())?;
    let layers: Vec<Layer> = layers.iter().cloned().chain([page]).collect();
    let image = layout.image(&nginx_settings(), &layers)?;
    layout.tag(&image, NGINX_OTHER.tag);
    layout.finish()
}

fn copy(layout: &Layout, nginx: &Layout, layers: &[Layer]) -> io::Result<Descriptor> {
    for layer in layers {
        layout.share(nginx, layer)?;
    }
    layout.image(&nginx_settings(), layers)
}

fn pause(directory: &Path) -> Result<(), Error> {
    let source = directory.join("pause.c");
    let program = directory.join("pause.bin");
    fs::write(&source, PAUSE_SOURCE).map_err(Error::file("writing", &source))?;
    run::run(
        Command::new("gcc")
            .args(["-static", "-Os", "-s", "-o"])
            .arg(&program)
            .arg(&source),
    )?;
    let write = || {
        let mut layout = Layout::create(directory.join("pause"))?;
        let mut files = Files::new();
        files.file("pause", 0o755, &fs::read(&program)?)?;
        let layer = layout.layer(&mut files.finish()?.as_slice(), Compression::default())?;
        let settings = Settings {
            architecture: architecture(),
            config: json!({"Entrypoint": ["/pause"]}),
        };
        let image = layout.image(&settings, &[layer])?;
        layout.tag(&image, PAUSE.tag);
        fs::remove_file(&source)?;
        fs::remove_file(&program)?;
        layout.finish()
    };
    write().map_err(Error::file("writing the image of pause in", directory))
}
