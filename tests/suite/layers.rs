//! The order of the layers, as the head of `src/lib.rs` gives it: arrows run downward only. What
//! prints, reads the environment or knows every adapter stands in one place each.
//!
//! Tests inside `src` may look anywhere; what is compiled into the library may not.

use std::collections::{BTreeSet, HashMap};
use std::fs;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

use crate::fixture::repository;

/// A file of `src`, by its path there.
struct Source {
    path: String,
    file: syn::File,
}

/// A path in code, from the crate's root on, and the file that it stands in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Mention {
    from: String,
    path: Vec<String>,
}

impl Source {
    fn new(path: &str, code: &str) -> Self {
        Self { path: path.to_owned(), file: syn::parse_file(code).unwrap_or_else(|e| panic!("{path}: {e}")) }
    }

    /// The modules that lead to the file: `store/edge/log.rs` is `store`, `edge`, `log`.
    fn module(&self) -> Vec<String> {
        let path = self.path.trim_end_matches(".rs");
        if path == "lib" { Vec::new() } else { path.split('/').map(str::to_owned).collect() }
    }
}

fn sources() -> Vec<Source> {
    let (root, mut sources) = (repository().join("src"), Vec::new());
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                sources.push(Source::new(&name, &fs::read_to_string(&path).unwrap()));
            }
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

/// Collects every path that starts at the crate's root, at `self` or at `super`.
struct Mentions {
    from: String,
    module: Vec<String>,
    found: Vec<Mention>,
}

impl Mentions {
    fn of(source: &Source) -> Vec<Mention> {
        let mut mentions = Self { from: source.path.clone(), module: source.module(), found: Vec::new() };
        mentions.visit_file(&source.file);
        mentions.found
    }

    fn add(&mut self, segments: &[String]) {
        let mut path = match segments.first().map(String::as_str) {
            Some("crate") => Vec::new(),
            Some("self" | "super") => self.module.clone(),
            // Other crates, and macros that print, by their first name.
            _ => return self.found.push(Mention { from: self.from.clone(), path: prefixed(segments) }),
        };
        for segment in segments {
            match segment.as_str() {
                "crate" | "self" => {}
                "super" => drop(path.pop()),
                name => path.push(name.to_owned()),
            }
        }
        self.found.push(Mention { from: self.from.clone(), path });
    }

    fn add_use(&mut self, before: &mut Vec<String>, tree: &syn::UseTree) {
        match tree {
            syn::UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.add_use(before, &path.tree);
                before.pop();
            }
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.add_use(before, item)),
            syn::UseTree::Name(syn::UseName { ident }) | syn::UseTree::Rename(syn::UseRename { ident, .. }) => {
                before.push(ident.to_string());
                self.add(before);
                before.pop();
            }
            syn::UseTree::Glob(_) => self.add(before),
        }
    }

    /// Macros are not parsed: their words are looked through for paths.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(word) => {
                    if colons < 2 && !path.is_empty() {
                        self.add(&std::mem::take(&mut path));
                    }
                    path.push(word.to_string());
                    colons = 0;
                }
                TokenTree::Punct(sign) if sign.as_char() == ':' => colons += 1,
                other => {
                    if !path.is_empty() {
                        self.add(&std::mem::take(&mut path));
                    }
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.add_tokens(group.stream());
                    }
                }
            }
        }
        if !path.is_empty() {
            self.add(&path);
        }
    }
}

/// What is not of this crate is told apart by an empty first name.
fn prefixed(segments: &[String]) -> Vec<String> {
    std::iter::once(String::new()).chain(segments.iter().cloned()).collect()
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.meta.require_list().is_ok_and(|list| list.tokens.to_string().contains("test"))
    })
}

impl<'ast> Visit<'ast> for Mentions {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if is_test(&item.attrs) {
            return;
        }
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_test(&item.attrs) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !is_test(&item.attrs) {
            self.add_use(&mut Vec::new(), &item.tree);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.add(&segments);
        visit::visit_path(self, path);
    }

    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {
        // Documentation may speak of any layer.
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        let name: Vec<String> = call.path.segments.iter().map(|segment| format!("{}!", segment.ident)).collect();
        self.add(&name);
        self.add_tokens(call.tokens.clone());
    }
}

/// The layers by name, the lowest first, as the head of `lib.rs` lists them from the top.
fn layers(lib: &str) -> Vec<String> {
    let block = lib.split("# The layers").nth(1).unwrap().split("```").nth(1).unwrap();
    let names = block.lines().skip(1).filter_map(|line| line.strip_prefix("//! ")?.split_whitespace().next());
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    names.reverse();
    names
}

/// Every arrow that does not run downward, in words.
fn wrong_arrows(sources: &[Source], layers: &[String]) -> BTreeSet<String> {
    let height: HashMap<&str, usize> = layers.iter().enumerate().map(|(i, name)| (name.as_str(), i)).collect();
    let mut wrong = BTreeSet::new();
    // What the root offers under another name belongs where it comes from.
    let root = sources.iter().filter(|source| source.path == "lib.rs").flat_map(Mentions::of);
    let offered: HashMap<String, String> = root
        .filter_map(|mention| match mention.path.as_slice() {
            [empty, module, .., name] if empty.is_empty() && height.contains_key(module.as_str()) => {
                Some((name.clone(), module.clone()))
            }
            _ => None,
        })
        .collect();
    for source in sources.iter().filter(|source| !["lib.rs", "main.rs"].contains(&source.path.as_str())) {
        let own = &source.module()[0];
        let Some(from) = height.get(own.as_str()) else {
            wrong.insert(format!("src/{}: the layer {own:?} is not in the list at the head of lib.rs", source.path));
            continue;
        };
        for mention in Mentions::of(source) {
            let Some(first) = mention.path.first().filter(|first| !first.is_empty()) else { continue };
            let target = offered.get(first).unwrap_or(first);
            match height.get(target.as_str()) {
                Some(to) if to > from => {
                    wrong.insert(format!(
                        "src/{} ({own}) looks up to {target}: {}",
                        source.path,
                        mention.path.join("::")
                    ));
                }
                Some(_) => {}
                None => {
                    wrong.insert(format!("src/{}: {} is of no layer", source.path, mention.path.join("::")));
                }
            }
        }
    }
    wrong
}

/// The files, but for those that `may`, that mention a path that `is_meant`.
fn files_with(sources: &[Source], may: impl Fn(&str) -> bool, is_meant: impl Fn(&[String]) -> bool) -> Vec<String> {
    let others = sources.iter().filter(|source| !may(&source.path));
    let found = others.flat_map(Mentions::of).filter(|mention| is_meant(&mention.path));
    let found: BTreeSet<String> =
        found.map(|mention| format!("src/{}: {}", mention.from, mention.path.join("::"))).collect();
    found.into_iter().collect()
}

fn is_empty(found: &[String], what: &str) {
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}

#[test]
fn arrows_run_downward_only() {
    let layers = layers(&fs::read_to_string(repository().join("src/lib.rs")).unwrap());
    assert!((10..=18).contains(&layers.len()), "few enough to know by heart: {layers:?}");
    let wrong: Vec<String> = wrong_arrows(&sources(), &layers).into_iter().collect();
    is_empty(&wrong, "the layers of lib.rs do not hold");
}

#[test]
fn an_arrow_that_is_turned_round_is_found_however_it_is_written() {
    let layers = ["low", "high"].map(str::to_owned);
    let lib = Source::new("lib.rs", "pub mod low; pub mod high; pub use high::Thing;");
    let of =
        |path: &str, code: &str| wrong_arrows(&[Source::new("lib.rs", ""), Source::new(path, code)], &layers).len();
    assert_eq!(of("high.rs", "use crate::low::a;"), 0);
    assert_eq!(of("low.rs", "use crate::high::a;"), 1);
    assert_eq!(of("low/deep.rs", "use super::super::high::{a, b::c};"), 2);
    assert_eq!(of("low.rs", "fn f() { crate::high::a() }"), 1);
    assert_eq!(of("low.rs", "fn f() { println!(\"{}\", crate::high::a()) }"), 1, "inside a macro");
    assert_eq!(of("low.rs", "#[cfg(test)] mod tests { use crate::high::a; }"), 0);
    assert_eq!(of("low.rs", "/// [`crate::high::a`]\nfn f() {}"), 0);
    assert_eq!(of("other.rs", ""), 1, "a module that nobody put into the list");
    assert_eq!(
        wrong_arrows(&[lib, Source::new("low.rs", "use crate::Thing;")], &layers).len(),
        1,
        "by the root's name"
    );
}

#[test]
fn only_the_command_line_prints() {
    let prints = |path: &[String]| {
        path.last().is_some_and(|name| ["print!", "println!", "eprint!", "eprintln!", "dbg!"].contains(&name.as_str()))
            || path.last().is_some_and(|name| ["stdout", "stderr"].contains(&name.as_str()))
    };
    let may = |path: &str| path == "main.rs" || path.starts_with("cli");
    is_empty(&files_with(&sources(), may, prints), "only the command line prints");
}

#[test]
fn only_the_settings_read_the_environment() {
    let names = ["var", "vars", "var_os", "vars_os", "set_var", "remove_var", "home_dir"];
    let reads = |path: &[String]| {
        let Some(env) = path.iter().position(|name| name == "env") else { return false };
        path.get(env + 1).is_some_and(|name| names.contains(&name.as_str()))
    };
    let may = |path: &str| ["main.rs", "cli/config.rs"].contains(&path);
    is_empty(&files_with(&sources(), may, reads), "only cli/config.rs reads the environment");
}

#[test]
fn one_file_knows_every_adapter() {
    // An adapter knows one vendor. Its layer names it, and in the command line the wiring or its own file.
    let homes = HashMap::from([
        ("EdgeStore", "store"),
        ("MemoryStore", "store"),
        ("ServerStore", "store"),
        ("FastEmbedder", "embed"),
        ("HashEmbedder", "embed"),
        ("ClaudeLabeler", "label"),
    ]);
    // A measurement's stores go away with it, so they are always in memory.
    let is_meant = |file: &str, name: &str| file == "measure/eval/temporary.rs" && name == "MemoryStore";
    let mut named: HashMap<String, BTreeSet<&str>> = HashMap::new();
    let all = sources();
    for source in all.iter().filter(|source| !["lib.rs", "cli/wiring.rs"].contains(&source.path.as_str())) {
        for mention in Mentions::of(source) {
            let adapters = mention.path.iter().filter_map(|name| homes.get_key_value(name.as_str()));
            let foreign = adapters.filter(|(_, home)| source.module()[0] != **home);
            let foreign: Vec<&str> =
                foreign.map(|(name, _)| *name).filter(|name| !is_meant(&source.path, name)).collect();
            named.entry(source.path.clone()).or_default().extend(foreign);
        }
    }
    let knows_many = |file: &str, names: &BTreeSet<&str>| names.len() > usize::from(file.starts_with("cli/"));
    let found: BTreeSet<String> = named
        .iter()
        .filter(|(file, names)| knows_many(file, names))
        .map(|(file, names)| format!("src/{file}: {names:?}"))
        .collect();
    is_empty(&found.into_iter().collect::<Vec<_>>(), "only cli/wiring.rs knows every adapter");
}
