//! Commands by hand, as they are shown.

/// Returns the commands of a line of shell, one each: parted by semicolons outside of quotes.
pub fn commands(line: &str) -> Vec<&str> {
    let mut commands = Vec::new();
    let (mut start, mut quoted) = (0, false);
    for (at, letter) in line.char_indices() {
        match letter {
            '\'' => quoted = !quoted,
            ';' if !quoted => {
                commands.push(line[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    commands.push(line[start..].trim());
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_parted_outside_of_quotes() {
        assert_eq!(
            commands("kubectl a; ssh b 'c; d'; e"),
            ["kubectl a", "ssh b 'c; d'", "e"]
        );
    }
}
