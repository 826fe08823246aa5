//! The picture of a tree of stacks, as SVG without scripts: what a place was called from is below it, and it is as wide as
//! the time that was spent there and in what it called.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter, Write};

use super::fold::Place;
use super::name::{Frame, Whose};

/// How wide a picture is, in pixels, and how wide its margins are.
const WIDTH: f64 = 1200.0;
const MARGIN: f64 = 10.0;

/// How high a frame is, and what is above all of them.
const FRAME: u32 = 16;
const HEAD: u32 = 56;

/// How wide a letter is.
const LETTER: f64 = 6.1;

/// What is narrower is left out.
const NARROWEST: f64 = 1.2;

/// A picture, which is written as SVG.
#[derive(Debug)]
pub(super) struct Picture<'a> {
    title: &'a str,
    all: &'a Place,
    /// The frames that are wide enough, by their colour.
    drawn: BTreeMap<Whose, Vec<Drawn<'a>>>,
    /// How many frames are above each other.
    levels: u32,
}

/// A frame in it.
#[derive(Debug)]
struct Drawn<'a> {
    frame: &'a Frame,
    samples: u32,
    left: f64,
    width: f64,
    level: u32,
}

impl<'a> Picture<'a> {
    /// That of a tree.
    pub(super) fn of(title: &'a str, all: &'a Place) -> Self {
        let mut picture = Self {
            title,
            all,
            drawn: BTreeMap::new(),
            levels: 0,
        };
        picture.draw(all, MARGIN, 0);
        picture
    }

    /// Draws what was called from a place.
    fn draw(&mut self, place: &'a Place, mut left: f64, level: u32) {
        for (frame, called) in &place.called {
            let width = self.share(called.samples) * (WIDTH - 2.0 * MARGIN);
            if width >= NARROWEST {
                self.levels = self.levels.max(level + 1);
                self.drawn.entry(frame.whose).or_default().push(Drawn {
                    frame,
                    samples: called.samples,
                    left,
                    width,
                    level,
                });
                self.draw(called, left, level + 1);
            }
            left += width;
        }
    }

    /// Which part of all samples so many are.
    fn share(&self, samples: u32) -> f64 {
        f64::from(samples) / f64::from(self.all.samples.max(1))
    }

    /// How far the top of a level is from that of the picture.
    const fn top(&self, level: u32) -> u32 {
        HEAD + (self.levels - 1 - level) * FRAME
    }

    /// The colours that are there, with whose they are and how much of the time their code was at work.
    fn names(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let at_work = self.all.at_work();
        let mut left = MARGIN;
        for whose in Whose::ALL {
            let share = at_work.get(&whose).map_or(0.0, |it| self.share(*it)) * 100.0;
            if share < 0.5 {
                continue;
            }
            let name = format!("{} {share:.0} %", whose.title());
            let colour = colour(whose);
            writeln!(
                f,
                r#"<rect x="{left}" y="30" width="12" height="12" fill="{colour}"/><text x="{}" y="40">{name}</text>"#,
                left + 17.0
            )?;
            left += 128.0;
        }
        Ok(())
    }
}

impl Display for Picture<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let height = HEAD + self.levels * FRAME + 10;
        writeln!(
            f,
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="monospace" font-size="10">"#
        )?;
        // A ground of its own, so that it is read alike on a light page and on a dark one.
        writeln!(f, r##"<rect width="100%" height="100%" fill="#fff"/>"##)?;
        let (title, samples) = (Escaped(self.title), self.all.samples);
        writeln!(
            f,
            r#"<text x="{MARGIN}" y="18" font-size="12">{title} ({samples} samples)</text>"#
        )?;
        self.names(f)?;
        for (whose, frames) in &self.drawn {
            let colour = colour(*whose);
            writeln!(
                f,
                r##"<g fill="{colour}" stroke="#fff" stroke-width=".5">"##
            )?;
            for drawn in frames {
                let (left, width) = (drawn.left, drawn.width);
                let (top, height) = (self.top(drawn.level), FRAME - 1);
                let share = self.share(drawn.samples) * 100.0;
                let name = Escaped(&drawn.frame.name);
                writeln!(
                    f,
                    r#"<rect x="{left:.1}" y="{top}" width="{width:.1}" height="{height}"><title>{name}: {share:.1} %</title></rect>"#
                )?;
            }
            writeln!(f, "</g>")?;
        }
        writeln!(f, r#"<g pointer-events="none">"#)?;
        for drawn in self.drawn.values().flatten() {
            let Some(name) = drawn.name() else { continue };
            let (left, base) = (drawn.left + 3.0, self.top(drawn.level) + 11);
            let name = Escaped(&name);
            writeln!(f, r#"<text x="{left:.1}" y="{base}">{name}</text>"#)?;
        }
        f.write_str("</g>\n</svg>\n")
    }
}

impl Drawn<'_> {
    /// As much of the name as there is room for: the function and what it is in go first.
    fn name(&self) -> Option<String> {
        let room = (3..).take_while(|letters| f64::from(*letters) * LETTER < self.width - 4.0);
        let room = room.count() + 2;
        let name = &self.frame.name;
        if room < 4 {
            return None;
        }
        if name.chars().count() <= room {
            return Some(name.clone());
        }
        let mut segments = name.split("::").skip(1);
        let shorter = std::iter::from_fn(|| {
            let shorter = segments.clone().collect::<Vec<_>>().join("::");
            segments.next().map(|_| shorter)
        });
        let fits = |name: &String| name.chars().count() <= room;
        let last = name.split("::").last().unwrap_or(name);
        let cut = || last.chars().take(room - 1).chain(['…']).collect();
        Some(shorter.into_iter().find(fits).unwrap_or_else(cut))
    }
}

/// Which colour is whose; they can be told apart by those who see fewer colours, and letters can be read on them.
const fn colour(whose: Whose) -> &'static str {
    match whose {
        Whose::Kernel => "#c4c4c4",
        Whose::Memory => "#f2a46f",
        Whose::Callboard => "#56b4e9",
        Whose::GraphQl => "#e3a3c8",
        Whose::Http => "#f0e442",
        Whose::Driver => "#5fc9a5",
        Whose::Runtime => "#b7b3e6",
        Whose::Postgres => "#8fc1d9",
        Whose::Others => "#e6dcc8",
    }
}

/// Text such that it means nothing else in SVG.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                letter => f.write_char(letter)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Picture;
    use crate::flames::fold::Fold;

    #[test]
    fn a_picture_shows_what_is_wide_enough_and_says_of_it_how_much_it_is() {
        let mut fold = Fold::new(7);
        let mut sample = |symbol: &str| {
            fold.read("7");
            fold.read(&format!("\tffffffff81e418f5 {symbol} ([kernel.kallsyms])"));
            fold.read("");
        };
        for _ in 0..2000 {
            sample("a<b");
        }
        sample("rare");
        let folded = fold.end();
        let svg = Picture::of("R & D", &folded.server).to_string();
        for shown in [
            "R &amp; D (2001 samples)",
            "kernel 100 %",
            "<title>a&lt;b: 100.0 %</title>",
            ">a&lt;b</text>",
        ] {
            assert!(svg.contains(shown), "{shown} is missing in {svg}");
        }
        assert!(!svg.contains("rare"), "{svg}");
    }

    #[test]
    fn without_samples_there_is_an_empty_picture() {
        let folded = Fold::new(7).end();
        let svg = Picture::of("nothing", &folded.server).to_string();
        assert!(svg.contains("nothing (0 samples)"), "{svg}");
    }
}
