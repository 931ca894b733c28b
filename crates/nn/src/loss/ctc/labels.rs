//! The labels of a batch, extended by blanks.

use gradus_graph::{Accepts, Form, Meta, Metas, Op, Real, Shape, Signature, Work, saved_op, smallvec};

/// From labels and their numbers: the classes of the extended labels, whether a path may come to a state from two
/// before it, and whether it may end there, each `[batch, 2·labels + 1]`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Extended {
    pub(super) blank: usize,
    pub(super) classes: usize,
}

impl Op for Extended {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Index, Accepts::Index]);

    fn name(&self) -> &'static str {
        "ctc_labels"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        let [batch, labels] = inputs[0].shape[..] else { return Err("labels must be [batch, labels]".into()) };
        if inputs[1].shape[..] != [batch] {
            return Err("there must be one number of labels a sequence".into());
        }
        if self.blank >= self.classes {
            return Err(format!("the blank {} is none of {} classes", self.blank, self.classes));
        }
        // Twice the labels and one more; where that overflows, no shape.
        let states = labels.saturating_mul(2).saturating_add(1);
        let extended = Meta::index(Shape::try_new([batch, states])?);
        Ok(smallvec![extended.clone(), extended.clone(), extended])
    }

    fn form(&self) -> Form {
        Form::Kernel
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        let (labels, lengths) = (work.inputs[0].index(), work.inputs[1].index());
        let most = work.input_shapes[0][1];
        let [extended, skips, ends] = work.outputs else { unreachable!("three outputs by the shape rule") };
        let size = 2 * most + 1;
        let (extended, skips, ends) = (extended.index(), skips.index(), ends.index());
        extended.fill(self.blank as i64);
        skips.fill(0);
        ends.fill(0);
        for (sequence, &length) in lengths.iter().enumerate() {
            if length < 0 || length as usize > most {
                return Err(format!("sequence {sequence} cannot have {length} of {most} labels"));
            }
            let row = sequence * size;
            let labels = &labels[sequence * most..][..length as usize];
            for (position, &label) in labels.iter().enumerate() {
                if label < 0 || label as usize >= self.classes || label as usize == self.blank {
                    let (classes, blank) = (self.classes, self.blank);
                    let what = format!("label {label} at position [{sequence}, {position}]");
                    return Err(format!("{what} is none of {classes} classes without the blank {blank}"));
                }
                extended[row + 2 * position + 1] = label;
                skips[row + 2 * position + 1] = i64::from(position > 0 && labels[position - 1] != label);
            }
            let last = row + 2 * length as usize;
            ends[last] = 1;
            if length > 0 {
                ends[last - 1] = 1;
            }
        }
        Ok(())
    }
}

saved_op!("nn.ctc_labels": Extended { blank, classes });

#[cfg(test)]
mod tests {
    use gradus_graph::{AnyTensor, Tensor, check};

    use super::*;

    #[test]
    fn the_op_keeps_its_contract() {
        let labels = AnyTensor::<f64>::Index(Tensor::from_rows([[1, 2], [1, 1], [2, 0]]));
        let lengths = AnyTensor::Index(Tensor::from([2, 2, 1]));
        check::assert_op_at(Extended { blank: 0, classes: 3 }, [labels, lengths]);
    }
}
