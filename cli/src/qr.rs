//! QR codes in a terminal: half blocks, light on dark, no colour.

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

/// Draws a text, if it fits into so many columns and rows.
pub(crate) fn draw(text: &str, (columns, rows): (usize, usize)) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    // The quiet zone is four modules on each side; two modules stand above each other in one row.
    let width = code.width().saturating_add(8);
    if width > columns || width.div_ceil(2) > rows {
        return None;
    }
    // Terminals are mostly dark: the light modules are drawn, as a reader expects them.
    let mut renderer = code.render::<Dense1x2>();
    renderer.dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).quiet_zone(true);
    Some(renderer.build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_square_and_stays_inside_its_columns() {
        let drawn = draw("kinfold:abc", (80, 24)).expect("fits");
        let widths: Vec<usize> = drawn.lines().map(|line| line.chars().count()).collect();
        assert!(widths.iter().all(|width| *width == widths[0] && *width <= 80));
        assert_eq!(widths.len(), widths[0].div_ceil(2));
        assert!(drawn.starts_with('█'), "the quiet zone is light");
    }

    #[test]
    fn a_code_that_does_not_fit_is_left_out() {
        assert_eq!(draw(&"x".repeat(1_000), (80, 1_000)), None);
        assert_eq!(draw(&"X".repeat(250), (80, 24)), None, "too high");
        assert!(draw(&"X".repeat(250), (80, 60)).is_some());
        assert_eq!(draw(&"x".repeat(5_000), (10_000, 10_000)), None);
    }
}
