//! The subscripts of an `einsum`: which index labels which axis of each operand and of the output.

use super::Shape;

/// The index of an axis: a letter, or one of the axes of an ellipsis, counted from the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Index {
    Letter(char),
    Ellipsis(usize),
}

/// The indices of subscripts, one for each axis.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Subscripts {
    pub(crate) operands: Vec<Vec<Index>>,
    pub(crate) output: Vec<Index>,
}

/// One operand or the output as it is written: letters before and after an ellipsis, if there is one.
struct Term {
    before: Vec<char>,
    after: Option<Vec<char>>,
}

impl Subscripts {
    /// The subscripts for operands of the given shapes.
    ///
    /// # Errors
    /// If the subscripts are malformed or do not fit the shapes.
    pub(crate) fn parse(text: &str, shapes: &[Shape]) -> Result<Self, String> {
        let text: String = text.chars().filter(|letter| !letter.is_whitespace()).collect();
        let (inputs, output) = match text.split_once("->") {
            Some((inputs, output)) => (inputs, Some(output)),
            None => (text.as_str(), None),
        };
        let terms: Vec<Term> = inputs.split(',').map(Term::parse).collect::<Result<_, _>>()?;
        if terms.len() != shapes.len() {
            return Err(format!("it has {} operands; {} were given", terms.len(), shapes.len()));
        }
        let operands: Vec<Vec<Index>> = terms
            .iter()
            .zip(shapes)
            .enumerate()
            .map(|(number, (term, shape))| term.indices_of(number, shape))
            .collect::<Result<_, _>>()?;
        let all = operands.iter().flatten().copied();
        let hidden = all.clone().filter(|index| matches!(index, Index::Ellipsis(_))).max();
        let hidden = hidden.map_or(0, |index| if let Index::Ellipsis(axis) = index { axis + 1 } else { 0 });
        let output = match output {
            Some(output) => Term::parse(output)?.output(&operands, hidden)?,
            None => {
                let mut once: Vec<Index> = all
                    .clone()
                    .filter(|&index| {
                        matches!(index, Index::Letter(_)) && all.clone().filter(|&other| other == index).count() == 1
                    })
                    .collect();
                once.sort_unstable();
                (0..hidden).rev().map(Index::Ellipsis).chain(once).collect()
            }
        };
        Ok(Self { operands, output })
    }
}

impl Term {
    fn parse(text: &str) -> Result<Self, String> {
        let letters = |text: &str| match text.chars().find(|letter| !letter.is_ascii_alphabetic()) {
            None => Ok(text.chars().collect()),
            Some('.') => Err("an ellipsis is three dots, once in an operand".to_owned()),
            Some('-' | '>') => Err("there must be one `->`, between operands and output".to_owned()),
            Some(',') => Err("the output is one term".to_owned()),
            Some(other) => Err(format!("`{other}` is not a letter")),
        };
        match text.split_once("...") {
            None => Ok(Self { before: letters(text)?, after: None }),
            Some((before, after)) => Ok(Self { before: letters(before)?, after: Some(letters(after)?) }),
        }
    }

    fn letters(&self) -> impl Iterator<Item = char> + '_ {
        self.before.iter().chain(self.after.iter().flatten()).copied()
    }

    fn text(&self) -> String {
        let dots = if self.after.is_some() { "..." } else { "" };
        let join = |letters: &[char]| letters.iter().collect::<String>();
        join(&self.before) + dots + &join(self.after.as_deref().unwrap_or_default())
    }

    /// The indices, with `hidden` axes for the ellipsis.
    fn indices(&self, hidden: usize) -> Vec<Index> {
        let letters = |letters: &[char]| letters.iter().copied().map(Index::Letter).collect::<Vec<_>>();
        let mut indices = letters(&self.before);
        if let Some(after) = &self.after {
            indices.extend((0..hidden).rev().map(Index::Ellipsis));
            indices.extend(letters(after));
        }
        indices
    }

    fn indices_of(&self, number: usize, shape: &Shape) -> Result<Vec<Index>, String> {
        let (letters, axes) = (self.letters().count(), shape.rank());
        let fits = if self.after.is_some() { letters <= axes } else { letters == axes };
        if !fits {
            let text = self.text();
            return Err(format!("operand {number} (`{text}`) has {letters} letters for the {axes} axes of {shape}"));
        }
        Ok(self.indices(axes - letters))
    }

    fn output(&self, operands: &[Vec<Index>], hidden: usize) -> Result<Vec<Index>, String> {
        if self.after.is_none() && hidden > 0 {
            return Err("the output lacks the ellipsis that an operand has".into());
        }
        let indices = self.indices(hidden);
        for (axis, index) in indices.iter().enumerate() {
            let Index::Letter(letter) = index else { continue };
            if !operands.iter().flatten().any(|other| other == index) {
                return Err(format!("the output has `{letter}`, which no operand has"));
            }
            if indices[..axis].contains(index) {
                return Err(format!("the output has `{letter}` twice"));
            }
        }
        Ok(indices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refuses(text: &str, shapes: &[&[usize]], problem: &str) {
        let shapes: Vec<Shape> = shapes.iter().map(|&sizes| Shape::from(sizes)).collect();
        assert_eq!(Subscripts::parse(text, &shapes).unwrap_err(), problem);
    }

    #[test]
    fn an_implicit_output_has_what_occurs_once_in_order() {
        let subscripts = Subscripts::parse(" b...a, ...cb ", &[Shape::from([2, 7, 3]), Shape::from([4, 2])]).unwrap();
        assert_eq!(subscripts.output, [Index::Ellipsis(0), Index::Letter('a'), Index::Letter('c')]);
        assert_eq!(subscripts.operands[0], [Index::Letter('b'), Index::Ellipsis(0), Index::Letter('a')]);
        assert_eq!(Subscripts::parse("ii", &[Shape::from([2, 2])]).unwrap().output, []);
    }

    #[test]
    fn what_is_malformed_is_said() {
        refuses("ij,jk", &[&[2, 2]], "it has 2 operands; 1 were given");
        refuses("ij", &[&[2, 2, 3]], "operand 0 (`ij`) has 2 letters for the 3 axes of [2, 2, 3]");
        refuses("i,i...j", &[&[2], &[2]], "operand 1 (`i...j`) has 2 letters for the 1 axes of [2]");
        refuses("i1", &[&[2, 2]], "`1` is not a letter");
        refuses("i..", &[&[2, 2]], "an ellipsis is three dots, once in an operand");
        refuses("...i...", &[&[2, 2]], "an ellipsis is three dots, once in an operand");
        refuses("ij->i->j", &[&[2, 2]], "there must be one `->`, between operands and output");
        refuses("ij>i", &[&[2, 2]], "there must be one `->`, between operands and output");
        refuses("ij->i,j", &[&[2, 2]], "the output is one term");
        refuses("ij->ik", &[&[2, 2]], "the output has `k`, which no operand has");
        refuses("ij->ii", &[&[2, 2]], "the output has `i` twice");
        refuses("...i->i", &[&[2, 2]], "the output lacks the ellipsis that an operand has");
    }
}
