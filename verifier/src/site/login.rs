//! How a person logs in to a host by hand: the command `ssh` with all that the site file says of the way there, quoted for a
//! shell. Pure.

use std::path::Path;

use super::{Jump, Ssh};

/// Stands where the site file has a command that may hold a secret, and where a name is none that a shell can be given.
const PROXY_COMMAND: &str = "PROXY_COMMAND_OF_THE_SITE_FILE";

impl Ssh {
    /// Returns the command that logs in to `address`, to be pasted into a shell: what is to be run there may follow. Nothing
    /// where a name of it cannot be quoted. A proxy command is left out: it may hold a password.
    pub fn command(&self, address: &str) -> Option<String> {
        let mut words = vec!["ssh".to_owned()];
        words.extend(self.files()?);
        if let Some(port) = self.port.filter(|port| *port != 22) {
            words.extend(["-p".to_owned(), port.to_string()]);
        }
        if self.proxy_command.is_some() {
            words.push(format!("-o ProxyCommand={PROXY_COMMAND}"));
        } else {
            words.extend(self.way(self.bastion.as_deref().unwrap_or_default())?);
        }
        words.push(cli::quoted(&format!("{}@{address}", self.login()))?);
        Some(words.join(" "))
    }

    fn login(&self) -> &str {
        self.user.as_deref().unwrap_or("root")
    }

    /// Returns the options that name files: key, certificate, known hosts.
    fn files(&self) -> Option<Vec<String>> {
        let option = |name: &str, path: &Path| cli::quoted(&format!("{name}={}", tokens(path)));
        let mut words = Vec::new();
        if let Some(path) = &self.identity {
            words.extend(["-i".to_owned(), cli::quoted(&tokens(path))?]);
        }
        if let Some(path) = &self.certificate {
            words.extend(["-o".to_owned(), option("CertificateFile", path)?]);
        }
        if let Some(path) = &self.known_hosts {
            words.extend(["-o".to_owned(), option("UserKnownHostsFile", path)?]);
        }
        Some(words)
    }

    /// Returns the options that lead through bastions. OpenSSH gives `-J` neither the key nor the known hosts of its command
    /// line: where there are any, each bastion gets a command of its own.
    fn way(&self, jumps: &[Jump]) -> Option<Vec<String>> {
        let Some((last, before)) = jumps.split_last() else {
            return Some(Vec::new());
        };
        let files = self.files()?;
        if files.is_empty() {
            let with_user = |jump: &Jump| Jump {
                user: Some(self.user_at(jump)),
                ..jump.clone()
            };
            let names: Vec<String> = jumps.iter().map(|jump| with_user(jump).to_string()).collect();
            return Some(vec!["-J".to_owned(), cli::quoted(&names.join(","))?]);
        }
        let mut words = vec!["ssh".to_owned()];
        words.extend(files);
        if last.port != 22 {
            words.extend(["-p".to_owned(), last.port.to_string()]);
        }
        words.extend(self.way(before)?);
        words.push("-W".to_owned());
        let mut command = words.join(" ").replace('%', "%%");
        command.push_str(" [%h]:%p ");
        let target = format!("{}@{}", self.user_at(last), last.host);
        command.push_str(&cli::quoted(&target)?.replace('%', "%%"));
        Some(vec![
            "-o".to_owned(),
            cli::quoted(&format!("ProxyCommand={command}"))?,
        ])
    }

    fn user_at(&self, jump: &Jump) -> String {
        jump.user.clone().unwrap_or_else(|| self.login().to_owned())
    }
}

/// Returns a path as ssh wants it where it knows tokens such as `%h`.
fn tokens(path: &Path) -> String {
    path.display().to_string().replace('%', "%%")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ssh(text: &str) -> Ssh {
        let site = format!(
            "apiVersion: site/v1\nkubeconfig: k\nssh: {{{text}}}\nhosts: [{{name: n, address: 10.0.0.1, roles: [worker]}}]\n"
        );
        super::super::parse("s", &site, Path::new("/a b")).unwrap().ssh
    }

    fn command(text: &str) -> String {
        ssh(text).command("10.0.0.1").unwrap()
    }

    #[test]
    fn what_the_site_file_says_of_the_way_is_in_the_command() {
        assert_eq!(command(""), "ssh root@10.0.0.1");
        assert_eq!(command("user: op, port: 2222"), "ssh -p 2222 op@10.0.0.1");
        assert_eq!(
            command("user: op, bastion: 'b, root@[fd00::1]:23'"),
            "ssh -J 'op@b:22,root@[fd00::1]:23' op@10.0.0.1"
        );
        assert_eq!(
            command("identity: id, knownHosts: known"),
            "ssh -i '/a b/id' -o 'UserKnownHostsFile=/a b/known' root@10.0.0.1"
        );
    }

    #[test]
    fn a_secret_of_a_proxy_command_is_not_in_it() {
        let said = command("proxyCommand: 'sshpass -p geheim ssh b nc %h %p'");
        assert_eq!(
            said,
            "ssh -o ProxyCommand=PROXY_COMMAND_OF_THE_SITE_FILE root@10.0.0.1"
        );
    }

    #[test]
    fn ssh_itself_reads_the_key_for_every_bastion_and_their_order() {
        let said = command("identity: id%h, bastion: 'a:2200, b'");
        // What a shell makes of it, and what ssh makes of that for each hop.
        let mut words = shell_words(&said);
        let mut hops = Vec::new();
        loop {
            assert_eq!(words[1..3], ["-i", "/a b/id%%h"], "{words:?}");
            hops.push(words.last().unwrap().clone());
            let Some(proxy) = words.iter().find_map(|word| word.strip_prefix("ProxyCommand=")) else {
                break;
            };
            words = shell_words(&expanded(proxy));
        }
        assert_eq!(hops, ["root@10.0.0.1", "root@b", "root@a"]);
    }

    #[test]
    fn a_name_that_no_quotes_make_safe_makes_no_command() {
        let user = |user: &str| Ssh {
            user: Some(user.to_owned()),
            ..Ssh::default()
        };
        assert_eq!(user("-oProxyCommand=x").command("h"), None);
        assert_eq!(user("a\nb").command("h"), None);
        assert_eq!(
            user("a; reboot").command("h").as_deref(),
            Some("ssh 'a; reboot@h'")
        );
    }

    /// Returns what ssh makes of the tokens of a proxy command.
    fn expanded(text: &str) -> String {
        let text = text.replace("%%", "\0").replace("%h", "HOST").replace("%p", "22");
        text.replace('\0', "%")
    }

    fn shell_words(command: &str) -> Vec<String> {
        let script = format!("for word in {command}; do printf '%s\\n' \"$word\"; done");
        let ran = std::process::Command::new("sh")
            .args(["-c", &script])
            .output()
            .unwrap();
        String::from_utf8(ran.stdout)
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect()
    }
}
