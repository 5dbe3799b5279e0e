//! QR codes in a terminal: half blocks, light on dark, no colour.

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

/// Draws a text, if it fits into `columns`.
pub(crate) fn draw(text: &str, columns: usize) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    // The quiet zone is four modules on each side.
    if code.width().saturating_add(8) > columns {
        return None;
    }
    // Terminals are mostly dark: the light modules are drawn, as a reader expects them.
    let mut renderer = code.render::<Dense1x2>();
    renderer.dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).quiet_zone(true);
    Some(renderer.build())
}

/// Columns of the terminal that talk goes to; a usual width when it is none.
pub(crate) fn columns() -> usize {
    const USUAL: usize = 120;
    rustix::termios::tcgetwinsize(std::io::stderr()).map_or(USUAL, |size| usize::from(size.ws_col))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_square_and_stays_inside_its_columns() {
        let drawn = draw("kinfold:abc", 80).expect("fits");
        let widths: Vec<usize> = drawn.lines().map(|line| line.chars().count()).collect();
        assert!(widths.iter().all(|width| *width == widths[0] && *width <= 80));
        assert_eq!(widths.len(), widths[0].div_ceil(2));
        assert!(drawn.starts_with('█'), "the quiet zone is light");
    }

    #[test]
    fn a_code_that_does_not_fit_is_left_out() {
        assert_eq!(draw(&"x".repeat(1_000), 80), None);
        assert_eq!(draw(&"x".repeat(5_000), 10_000), None);
    }
}
