//! How much of the crate others can name: every public type is a promise.
//!
//! `cargo test --release --test suite surface -- --nocapture` prints them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use syn::{Attribute, Item, UseTree, Visibility};

use crate::fixture::repository;

/// Public types at most. The aim is 90.
const MOST: usize = 175;

type Place = Vec<String>;

/// What a module declares, by name.
#[derive(Default)]
struct Module {
    types: Vec<Named>,
    modules: Vec<Named>,
    /// What it takes in: the name it gets here (`*` for all) and the path as it is written.
    uses: Vec<(Named, Place)>,
}

/// A name, and whether it is `pub`.
struct Named(String, bool);

/// All modules of the crate by their places.
struct Source(BTreeMap<Place, Module>);

impl Source {
    fn read() -> Self {
        let mut source = Self(BTreeMap::new());
        let root = repository().join("src");
        source.file(&root.join("lib.rs"), &root, Vec::new());
        source
    }

    fn file(&mut self, file: &Path, folder: &Path, place: Place) {
        let text = std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        self.module(syn::parse_file(&text).unwrap().items, folder, place);
    }

    fn module(&mut self, items: Vec<Item>, folder: &Path, place: Place) {
        let mut module = Module::default();
        for item in items {
            let (ident, vis) = match item {
                Item::Struct(it) => (it.ident, it.vis),
                Item::Enum(it) => (it.ident, it.vis),
                Item::Union(it) => (it.ident, it.vis),
                Item::Trait(it) => (it.ident, it.vis),
                Item::Type(it) => (it.ident, it.vis),
                Item::Use(it) => {
                    taken_in(&it.tree, &mut Vec::new(), is_public(&it.vis), &mut module.uses);
                    continue;
                }
                Item::Mod(it) if !is_for_tests(&it.attrs) => {
                    let name = it.ident.to_string();
                    module.modules.push(Named(name.clone(), is_public(&it.vis)));
                    let below = [&place[..], std::slice::from_ref(&name)].concat();
                    match it.content {
                        Some((_, items)) => self.module(items, &folder.join(&name), below),
                        None => self.file(&folder.join(format!("{name}.rs")), &folder.join(&name), below),
                    }
                    continue;
                }
                _ => continue,
            };
            module.types.push(Named(ident.to_string(), is_public(&vis)));
        }
        self.0.insert(place, module);
    }

    /// The types that can be named from outside, by the places where they are declared.
    fn public(&self) -> BTreeSet<String> {
        let mut found = Found { source: self, types: BTreeSet::new(), modules: BTreeSet::new() };
        found.module(&[]);
        found.types.into_iter().map(|place| place.join("::")).collect()
    }
}

struct Found<'a> {
    source: &'a Source,
    types: BTreeSet<Place>,
    modules: BTreeSet<Place>,
}

impl Found<'_> {
    /// All that is public in a module.
    fn module(&mut self, place: &[String]) {
        if !self.modules.insert(place.to_vec()) {
            return;
        }
        let module = &self.source.0[place];
        let below = |name: &String| [place, std::slice::from_ref(name)].concat();
        self.types.extend(module.types.iter().filter(|it| it.1).map(|it| below(&it.0)));
        for Named(name, _) in module.modules.iter().filter(|it| it.1) {
            self.module(&below(name));
        }
        for (_, path) in module.uses.iter().filter(|it| it.0.1) {
            self.named(place, path);
        }
    }

    /// What a path in a module names: a type, a module, or something that does not count.
    fn named(&mut self, from: &[String], path: &[String]) {
        let (mut at, mut rest) = (from.to_vec(), path);
        while let Some((first, more)) = rest.split_first() {
            match first.as_str() {
                "crate" => at.clear(),
                "self" => {}
                "super" => drop(at.pop()),
                name => {
                    let Some(module) = self.source.0.get(&at) else { return };
                    let below = [&at[..], &[name.to_owned()]].concat();
                    if module.types.iter().any(|it| it.0 == name) {
                        self.types.insert(below);
                        return;
                    }
                    if let Some((_, path)) = module.uses.iter().find(|it| it.0.0 == name && it.1[0] != name) {
                        return self.named(&at, &[path, more].concat());
                    }
                    if !self.source.0.contains_key(&below) {
                        return;
                    }
                    at = below;
                }
            }
            rest = more;
        }
        // Of a module that is taken in, whole or by `*`, all that is public can be named.
        self.module(&at);
    }
}

fn taken_in(tree: &UseTree, path: &mut Place, public: bool, uses: &mut Vec<(Named, Place)>) {
    match tree {
        UseTree::Path(it) => {
            path.push(it.ident.to_string());
            taken_in(&it.tree, path, public, uses);
            path.pop();
        }
        UseTree::Name(it) if it.ident == "self" => {
            let name = path.last().cloned().unwrap_or_default();
            uses.push((Named(name, public), path.clone()));
        }
        UseTree::Name(it) => {
            let name = it.ident.to_string();
            uses.push((Named(name.clone(), public), [&path[..], &[name]].concat()));
        }
        UseTree::Rename(it) => {
            let target = [&path[..], &[it.ident.to_string()]].concat();
            uses.push((Named(it.rename.to_string(), public), target));
        }
        UseTree::Glob(_) => uses.push((Named("*".into(), public), path.clone())),
        UseTree::Group(it) => it.items.iter().for_each(|tree| taken_in(tree, path, public, uses)),
    }
}

fn is_public(vis: &Visibility) -> bool {
    matches!(vis, Visibility::Public(_))
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes
        .iter()
        .any(|it| it.path().is_ident("cfg") && it.parse_args::<syn::Path>().is_ok_and(|it| it.is_ident("test")))
}

#[test]
fn no_more_types_are_public_than_agreed() {
    let public = Source::read().public();
    let list = public.iter().map(|name| format!("  {name}\n")).collect::<String>();
    println!("{} public types:\n{list}", public.len());
    // Declared in a public module, behind a re-export of a private one, and private for good.
    for (name, is_there) in [
        ("data::taxonomy::Taxonomy", true),
        ("data::taxonomy::attribute::Attribute", true),
        ("label::claude::offer::Offer", false),
    ] {
        assert_eq!(public.iter().any(|it| it == name), is_there, "{name}");
    }
    assert!(
        public.len() <= MOST,
        "{} public types, and {MOST} were agreed: make new ones pub(crate), or raise the number with a reason\n{list}",
        public.len()
    );
}
