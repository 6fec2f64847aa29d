//! How often systemd has started units again by itself, as it counts.

use std::collections::BTreeMap;
use std::process::Stdio;

use tokio::process::Command;

use super::FactError;
use super::journal::is_unit;
use crate::protocol::Restarts;

/// Returns the count of each unit that systemd knows. It begins anew where somebody starts a unit by hand.
pub(crate) async fn restarts(units: &[String]) -> Result<BTreeMap<String, u32>, FactError> {
    if let Some(unit) = units.iter().find(|unit| !is_unit(unit)) {
        return Err(FactError::Unit { unit: unit.clone() });
    }
    let output = Command::new("systemctl")
        .args(["show", "--property=Id,NRestarts", "--"])
        .args(units.iter().take(Restarts::MOST))
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await;
    let output = output.map_err(|source| FactError::Run {
        program: "systemctl",
        source,
    })?;
    Ok(parse(&String::from_utf8_lossy(&output.stdout)))
}

/// Reads a block of `Key=value` for each unit, in any order.
fn parse(text: &str) -> BTreeMap<String, u32> {
    let of_block = |block: &str| {
        let value = |key: &str| {
            let mut lines = block.lines();
            lines.find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
        };
        Some((value("Id")?.to_owned(), value("NRestarts")?.parse().ok()?))
    };
    text.split("\n\n").filter_map(of_block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_unit_has_a_count_of_its_own() {
        let text = "NRestarts=7\nId=kubelet.service\n\nId=etcd.service\nNRestarts=0\n\nId=none.service\n";
        let found = parse(text);
        assert_eq!(found["kubelet.service"], 7);
        assert_eq!(found["etcd.service"], 0);
        assert_eq!(found.len(), 2);
    }

    #[tokio::test]
    async fn what_is_no_name_of_a_unit_is_refused() {
        assert!(restarts(&["--help".to_owned()]).await.is_err());
    }
}
