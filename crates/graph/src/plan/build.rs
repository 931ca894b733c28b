//! From nodes to drafts of units: views become layouts, pointwise ops become fused loops, and work that depends on
//! constants alone is marked.
//!
//! Units run in the order of their creation. A pointwise node may join an earlier loop over the same number of elements
//! if its other inputs come from units before that loop. Axes along which all inputs are broadcast are computed once
//! and broadcast afterwards.

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::draft::{Buffer, Draft, DraftArg, DraftLoop, DraftStep, Drafted, Drafts, Origin, View};
use super::order::{Order, order};
use crate::error::{Error, ErrorKind};
use crate::shape::Layout;
use crate::tape::op::{Form, Kind};
use crate::tape::{NodeId, Source, Tape, Value};

/// The most steps of a loop over many elements: with more, its blocks would not fit into the L1 cache.
pub(super) const MAX_STEPS: usize = 64;
/// The most elements of a loop with any number of steps.
pub(super) const SHORT: usize = 64;

struct Builder<'a> {
    tape: &'a Tape,
    order: Order,
    /// The view of output 0 of each node; further outputs are in `others`.
    first: Vec<Option<View>>,
    others: FxHashMap<Value, View>,
    buffers: Vec<Buffer>,
    units: Vec<Drafted>,
    /// The latest loop for each number of elements, separately for constants.
    open: FxHashMap<(usize, bool), u32>,
    /// Loads by loop and buffer.
    loads: FxHashMap<(u32, u32), SmallVec<[u32; 2]>>,
    copies: FxHashMap<(u32, Layout), u32>,
    /// For each node, whether its only reader swaps its last two axes.
    read_transposed: Vec<bool>,
    fuse: bool,
}

pub(super) fn build(tape: &Tape, outputs: &[Value], fuse: bool) -> Result<Drafts, Error> {
    let order = order(tape, outputs);
    let mut builder = Builder {
        tape,
        first: vec![None; order.same.len()],
        others: FxHashMap::default(),
        buffers: Vec::with_capacity(order.nodes.len()),
        units: Vec::new(),
        open: FxHashMap::default(),
        loads: FxHashMap::default(),
        copies: FxHashMap::default(),
        read_transposed: read_transposed(tape, &order, outputs),
        fuse,
        order,
    };
    let nodes = std::mem::take(&mut builder.order.nodes);
    let (mut activations, mut multiply_adds) = (0_usize, 0_usize);
    for &node in &nodes {
        builder.add_node(node)?;
        if let Source::Op(op) = tape.nodes[node.index()].source {
            let outputs = tape.nodes[node.index()].outputs.iter().map(|meta| meta.shape.len());
            activations = outputs.fold(activations, usize::saturating_add);
            let op = &tape.ops[op as usize];
            if matches!(op.form(), Form::Product | Form::Kernel) {
                let inputs: SmallVec<[_; 3]> =
                    tape.nodes[node.index()].inputs.iter().map(|input| tape.meta(*input).clone()).collect();
                multiply_adds = multiply_adds.saturating_add(op.multiply_adds(&inputs));
            }
        }
    }
    let outputs: Vec<View> = outputs.iter().map(|value| builder.view(builder.order.canonical(*value))).collect();
    for output in &outputs {
        builder.buffers[output.buffer as usize].stored = true;
    }
    let Builder { units, buffers, .. } = builder;
    Ok(Drafts { units, buffers, outputs, within: FxHashMap::default(), activations, multiply_adds, nodes: nodes.len() })
}

/// The layout with its last two axes swapped.
fn swapped(layout: &Layout) -> Layout {
    let rank = layout.shape.rank();
    let mut axes: SmallVec<[usize; 4]> = (0..rank).collect();
    axes.swap(rank - 2, rank - 1);
    layout.permuted(&axes)
}

/// A factor with its last two axes swapped, and its layout.
fn transposed(layout: &Layout, view: View) -> (View, Layout) {
    let layout = swapped(layout);
    (View { buffer: view.buffer, layout: Some(Box::new(layout.clone())) }, layout)
}

/// For each node, whether its only reader is a view that swaps its last two axes, or a sum of products of which this is so:
/// then the products are written transposed, and added as they lie.
fn read_transposed(tape: &Tape, order: &Order, outputs: &[Value]) -> Vec<bool> {
    let mut readers = vec![0_u32; order.same.len()];
    let mut turned = vec![false; order.same.len()];
    for value in outputs {
        readers[order.canonical(*value).node.index()] += 1;
    }
    let (is_product, is_sum): (Vec<bool>, Vec<bool>) =
        tape.ops.iter().map(|op| (op.form() == Form::Product, op.is_sum())).unzip();
    // Sums of products, in order.
    let mut is_of_products = vec![false; order.same.len()];
    let mut sums = Vec::new();
    for &id in &order.nodes {
        let node = &tape.nodes[id.index()];
        for &input in &node.inputs {
            let input = order.canonical(input);
            readers[input.node.index()] += 1;
            let shape = &tape.meta(input).shape;
            if let (Some(op), true) = (tape.op(id), shape.rank() >= 2)
                && op.form() == Form::View
                && readers[input.node.index()] == 1
            {
                let layout = Layout::contiguous(shape.clone());
                turned[input.node.index()] = op.view(&layout) == Some(swapped(&layout));
            }
        }
        let Source::Op(op) = node.source else { continue };
        let of_products = |input: &Value| is_of_products[order.canonical(*input).node.index()];
        if is_sum[op as usize] && node.inputs.iter().all(of_products) {
            sums.push(id);
            is_of_products[id.index()] = true;
        } else {
            is_of_products[id.index()] = is_product[op as usize];
        }
    }
    for node in 0..turned.len() {
        turned[node] &= readers[node] == 1;
    }
    for &sum in sums.iter().rev() {
        let inputs = || tape.nodes[sum.index()].inputs.iter().map(|&input| order.canonical(input).node.index());
        turned[sum.index()] &= inputs().all(|input| readers[input] == 1);
        if turned[sum.index()] {
            inputs().for_each(|input| turned[input] = true);
        }
    }
    turned
}

impl Builder<'_> {
    fn add_node(&mut self, id: NodeId) -> Result<(), Error> {
        let tape = self.tape;
        let node = &tape.nodes[id.index()];
        let meta = &node.outputs[0];
        let leaf = |origin, constant| Buffer {
            kind: meta.kind,
            len: meta.shape.len(),
            origin,
            step: 0,
            stored: true,
            constant,
        };
        let whole = |buffer| View { buffer, layout: None };
        let view = match node.source {
            Source::Input(input) => whole(self.add(leaf(Origin::Input(input), false))),
            Source::Param(param) => whole(self.add(leaf(Origin::Param(param), false))),
            Source::Constant(constant) => whole(self.add(leaf(Origin::Constant(constant), true))),
            Source::Random(random) => {
                let out = self.produced(meta.kind, meta.shape.len(), false);
                let distribution = tape.randoms[random as usize].clone();
                self.push(Draft::Random { distribution, stream: random, out }, id, false);
                whole(out)
            }
            Source::Seed => {
                let problem = "a vjp is not linear in its cotangent: the jvp derived from it depends on the cotangent";
                return Err(Error::new(ErrorKind::Derivative, problem));
            }
            Source::Op(op) => return self.add_op(id, op),
        };
        self.first[id.index()] = Some(view);
        Ok(())
    }

    fn add_op(&mut self, id: NodeId, number: u32) -> Result<(), Error> {
        let tape = self.tape;
        let node = &tape.nodes[id.index()];
        let op = &tape.ops[number as usize];
        let mut inputs: SmallVec<[Value; 3]> = SmallVec::from_slice(&node.inputs);
        inputs.iter_mut().for_each(|input| *input = self.order.canonical(*input));
        match op.form() {
            Form::Expanded => unreachable!("{} was recorded as its expansion", op.name()),
            Form::View => {
                let input = self.view(inputs[0]);
                let layout = self.layout(&input, inputs[0]);
                let (buffer, layout) = match op.view(&layout) {
                    Some(layout) => (input.buffer, Some(layout)),
                    None => {
                        let whole = self.contiguous(input, inputs[0], id);
                        (whole.buffer, op.view(&Layout::contiguous(tape.meta(inputs[0]).shape.clone())))
                    }
                };
                let len = self.buffers[buffer as usize].len;
                let wanted = &node.outputs[0].shape;
                let layout = layout.filter(|layout| layout.shape == *wanted).and_then(|layout| layout.within(len));
                let layout = layout.ok_or_else(|| {
                    let problem = format!("the layout of a view of {len} elements has another shape or leaves them");
                    Error::new(ErrorKind::Op, format!("{}: {problem}", tape.describe(id)))
                })?;
                self.first[id.index()] = Some(self.view_of(buffer, layout));
            }
            Form::Alias { first } => {
                for (output, &input) in inputs[first..].iter().enumerate() {
                    let view = self.view(input);
                    self.set(Value { node: id, output: output as u32 }, view);
                }
            }
            Form::Pointwise => {
                let view = self.add_pointwise(id, number, &inputs);
                self.first[id.index()] = Some(view);
            }
            Form::Product => {
                let (a, b) = (self.view(inputs[0]), self.view(inputs[1]));
                let constant = self.read(&a) & self.read(&b);
                let out = self.produced(Kind::Real, node.outputs[0].shape.len(), constant);
                let mut layout = Layout::contiguous(node.outputs[0].shape.clone());
                let draft = if self.read_transposed[id.index()] {
                    // (a·b)ᵀ = bᵀ·aᵀ, bit for bit: so the result is in the order of its reader.
                    let (a, b) =
                        (transposed(&self.layout(&a, inputs[0]), a), transposed(&self.layout(&b, inputs[1]), b));
                    let shapes = [b.1.shape.clone(), a.1.shape.clone()];
                    layout = swapped(&Layout::contiguous(swapped(&layout).shape));
                    Draft::Product { a: b.0, b: a.0, shapes, is_packed: false, plus: None, out }
                } else {
                    let shapes = [tape.meta(inputs[0]).shape.clone(), tape.meta(inputs[1]).shape.clone()];
                    Draft::Product { a, b, shapes, is_packed: false, plus: None, out }
                };
                self.push(draft, id, constant);
                self.first[id.index()] = Some(self.view_of(out, layout));
            }
            Form::Kernel => {
                let mut views = Vec::with_capacity(inputs.len());
                let mut constant = true;
                for &input in &inputs {
                    let view = self.view(input);
                    let view = self.contiguous(view, input, id);
                    constant &= self.read(&view);
                    views.push(view);
                }
                let unit = self.units.len() as u32;
                let mut outputs = Vec::with_capacity(node.outputs.len());
                for (output, meta) in node.outputs.iter().enumerate() {
                    let buffer = self.produced(meta.kind, meta.shape.len(), constant);
                    debug_assert_eq!(self.buffers[buffer as usize].origin, Origin::Unit(unit));
                    outputs.push(buffer);
                    self.set(Value { node: id, output: output as u32 }, View { buffer, layout: None });
                }
                self.push(Draft::Kernel { op: number, inputs: views, outputs, node: id, strips: 1 }, id, constant);
            }
        }
        Ok(())
    }

    fn add_pointwise(&mut self, id: NodeId, op: u32, inputs: &[Value]) -> View {
        let shape = &self.tape.nodes[id.index()].outputs[0].shape;
        let mut views: SmallVec<[View; 3]> = inputs.iter().map(|&input| self.view(input)).collect();
        let turned = if self.read_transposed[id.index()] { self.take_turned(&mut views) } else { None };
        // Axes along which all inputs are broadcast are computed once.
        let repeats = |view: &View, axis: usize| match &view.layout {
            Some(layout) => layout.strides[axis] == 0,
            None => false,
        };
        let repeated: SmallVec<[usize; 4]> =
            (0..shape.rank()).filter(|&axis| shape[axis] > 1 && views.iter().all(|view| repeats(view, axis))).collect();
        let own = if repeated.is_empty() { shape.clone() } else { shape.with_ones(|axis| repeated.contains(&axis)) };
        if !repeated.is_empty() {
            for view in &mut views {
                let mut layout = view.layout.take().expect("a view that repeats has a layout");
                layout.shape = own.clone();
                *view = self.view_of(view.buffer, *layout);
            }
        }
        let len = own.len();
        let constant = views.iter().all(|view| self.buffers[view.buffer as usize].constant);
        let unit = self.choose_loop(id, len, constant, &views);

        let mut args: SmallVec<[DraftArg; 3]> = SmallVec::new();
        for view in views {
            args.push(self.argument(unit, view));
        }
        let buffer =
            self.add(Buffer { kind: Kind::Real, len, origin: Origin::Unit(unit), step: 0, stored: false, constant });
        let Draft::Loop(draft) = &mut self.units[unit as usize].draft else { unreachable!("the unit is a loop") };
        self.buffers[buffer as usize].step = draft.steps.len() as u32;
        let first_arg = draft.args.len() as u32;
        draft.args.extend_from_slice(&args);
        draft.steps.push(DraftStep { op, first_arg, args: args.len() as u32, buffer });
        if repeated.is_empty() {
            View { buffer, layout: turned }
        } else {
            View { buffer, layout: Some(Box::new(Layout::contiguous(own).broadcast(shape))) }
        }
    }

    /// Views of whole buffers that lie transposed, as they lie; their layout.
    fn take_turned(&self, views: &mut [View]) -> Option<Box<Layout>> {
        let layout = views[0].layout.clone()?;
        let is_whole = |view: &View| {
            view.layout.as_ref() == Some(&layout) && self.view_of(view.buffer, swapped(&layout)).layout.is_none()
        };
        if !self.fuse || !views.iter().all(is_whole) {
            return None;
        }
        views.iter_mut().for_each(|view| view.layout = None);
        Some(layout)
    }

    /// The loop that a pointwise node joins: the last unit that it reads from, if that is a matching loop; else the
    /// latest matching loop, if all inputs of the node come from units before it; else a new one.
    fn choose_loop(&mut self, id: NodeId, len: usize, constant: bool, views: &[View]) -> u32 {
        // Values that depend on constants alone are computed before the first unit runs.
        let unit_of = |view: &View| match self.buffers[view.buffer as usize] {
            Buffer { origin: Origin::Unit(unit), constant: its, .. } if its == constant => Some(unit),
            _ => None,
        };
        let last = views.iter().filter_map(unit_of).max();
        let fits = |unit: u32| match &self.units[unit as usize] {
            Drafted { draft: Draft::Loop(draft), constant: its, .. } => {
                draft.len == len
                    && *its == constant
                    && draft.copies.is_empty()
                    && (len <= SHORT || draft.steps.len() < MAX_STEPS)
            }
            _ => false,
        };
        let is_unviewed = |unit: u32| views.iter().all(|view| unit_of(view) != Some(unit) || view.layout.is_none());
        if self.fuse {
            if let Some(unit) = last.filter(|&unit| fits(unit) && is_unviewed(unit)) {
                return unit;
            }
            if let Some(&unit) = self.open.get(&(len, constant))
                && fits(unit)
                && last.is_none_or(|last| last < unit)
            {
                return unit;
            }
        }
        let unit = self.push(Draft::Loop(DraftLoop { len, ..DraftLoop::default() }), id, constant);
        self.open.insert((len, constant), unit);
        unit
    }

    /// A view as an argument within a loop: a step of the same loop, or a load.
    fn argument(&mut self, unit: u32, view: View) -> DraftArg {
        let buffer = &mut self.buffers[view.buffer as usize];
        if buffer.origin == Origin::Unit(unit) && view.layout.is_none() {
            return DraftArg::Step(buffer.step);
        }
        buffer.stored = true;
        let Draft::Loop(draft) = &mut self.units[unit as usize].draft else { unreachable!("the unit is a loop") };
        let known = self.loads.entry((unit, view.buffer)).or_default();
        for &load in known.iter() {
            if draft.loads[load as usize].layout == view.layout {
                return DraftArg::Load(load);
            }
        }
        let load = draft.loads.len() as u32;
        known.push(load);
        draft.loads.push(view);
        DraftArg::Load(load)
    }

    /// The view with its elements in row-major order without gaps, copied if they are not.
    fn contiguous(&mut self, view: View, value: Value, id: NodeId) -> View {
        match &view.layout {
            None => return view,
            Some(layout) if layout.is_contiguous() => return view,
            Some(_) => {}
        }
        let layout = self.layout(&view, value);
        if let Some(&buffer) = self.copies.get(&(view.buffer, layout.clone())) {
            return View { buffer, layout: None };
        }
        let constant = self.read(&view);
        let kind = self.buffers[view.buffer as usize].kind;
        let (from, len) = (view.buffer, layout.shape.len());
        let out = self.produced(kind, len, constant);
        let draft = match kind {
            Kind::Real => {
                Draft::Loop(DraftLoop { len, loads: vec![view], copies: vec![(0, out)], ..DraftLoop::default() })
            }
            Kind::Index => Draft::IndexCopy { from: view, out },
        };
        self.push(draft, id, constant);
        self.copies.insert((from, layout), out);
        View { buffer: out, layout: None }
    }

    /// The view of a buffer under a layout, without the layout if it is that of the whole buffer.
    fn view_of(&self, buffer: u32, layout: Layout) -> View {
        let all =
            layout.offset == 0 && layout.shape.len() == self.buffers[buffer as usize].len && layout.is_contiguous();
        View { buffer, layout: if all { None } else { Some(Box::new(layout)) } }
    }

    fn layout(&self, view: &View, value: Value) -> Layout {
        match &view.layout {
            Some(layout) => (**layout).clone(),
            None => Layout::contiguous(self.tape.meta(value).shape.clone()),
        }
    }

    /// Marks a buffer as read outside its loop; returns whether it is constant.
    fn read(&mut self, view: &View) -> bool {
        let buffer = &mut self.buffers[view.buffer as usize];
        buffer.stored = true;
        buffer.constant
    }

    fn view(&self, value: Value) -> View {
        let view = match value.output {
            0 => self.first[value.node.index()].as_ref(),
            _ => self.others.get(&value),
        };
        view.expect("inputs are added before their consumers").clone()
    }

    fn set(&mut self, value: Value, view: View) {
        match value.output {
            0 => self.first[value.node.index()] = Some(view),
            _ => drop(self.others.insert(value, view)),
        }
    }

    fn add(&mut self, buffer: Buffer) -> u32 {
        self.buffers.push(buffer);
        self.buffers.len() as u32 - 1
    }

    /// Adds the buffer of a result of the next unit.
    fn produced(&mut self, kind: Kind, len: usize, constant: bool) -> u32 {
        let origin = Origin::Unit(self.units.len() as u32);
        self.add(Buffer { kind, len, origin, step: 0, stored: true, constant })
    }

    fn push(&mut self, draft: Draft, node: NodeId, constant: bool) -> u32 {
        self.units.push(Drafted { draft, node, constant });
        self.units.len() as u32 - 1
    }
}
