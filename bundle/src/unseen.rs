//! Characters that no eye sees, or that change how others look.

/// Returns whether a character is one that a terminal obeys, that no eye sees or tells from another, or that turns or
/// joins what stands beside it: control characters, marks of direction, separators of lines, blanks other than the
/// space, fillers, joiners, selectors of variants, tags, and what is nobody's (private use, noncharacters).
///
/// The ranges are those of Unicode's Default_Ignorable_Code_Point, White_Space, Cc, Co and Noncharacter_Code_Point, with
/// the annotations of U+FFF9 and the empty cell of Braille.
pub const fn is_unseen(c: char) -> bool {
    if matches!(c, ' '..='~') {
        return false;
    }
    matches!(c, '\0'..='\u{a0}' | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{1680}')
        || matches!(c, '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{2000}'..='\u{200f}')
        || matches!(c, '\u{2028}'..='\u{202f}' | '\u{205f}'..='\u{206f}' | '\u{2800}' | '\u{3000}' | '\u{3164}')
        || matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{fdd0}'..='\u{fdef}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
        || matches!(c, '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}')
        || matches!(c, '\u{e0000}'..='\u{10ffff}')
        // The last two of each plane.
        || c as u32 & 0xfffe == 0xfffe
}

#[cfg(test)]
mod tests {
    use super::is_unseen;

    #[test]
    fn what_is_seen_stays_and_what_is_not_is_told() {
        for seen in "~ aZ0\"'\\éß한국어ㄱ漢字ひ☸…→±×🐳ع\u{301}\u{fffd}".chars() {
            assert!(!is_unseen(seen), "{seen:?}");
        }
        let unseen = "\0\x07\t\n\r\x1b\x7f\u{80}\u{85}\u{9b}\u{9f}\u{a0}\u{ad}\u{61c}\u{200b}\u{200d}\u{200e}\u{2028}\u{2029}\
                      \u{202a}\u{202e}\u{2060}\u{2066}\u{2069}\u{3000}\u{3164}\u{fe0f}\u{feff}\u{fff9}\u{ffff}\u{1fffe}\
                      \u{e0001}\u{e0041}\u{e007f}\u{e0100}\u{e000}\u{f0000}\u{10fffd}";
        for unseen in unseen.chars() {
            assert!(is_unseen(unseen), "{unseen:?}");
        }
    }

    #[test]
    fn every_control_character_and_every_blank_but_the_space_is_unseen() {
        for c in (0..=0x0010_ffff).filter_map(char::from_u32) {
            if c.is_control() || (c.is_whitespace() && c != ' ') {
                assert!(is_unseen(c), "{c:?}");
            }
        }
    }
}
