//! The page: one file, no script, nothing loaded from anywhere.

use minijinja::{Environment, UndefinedBehavior, context};

use super::{content::Content, plot};
use crate::text;

const TEMPLATE: &str = include_str!("page.html");

/// Fills the template. What comes from outside is escaped by the name's ending.
pub(super) fn render(content: &Content) -> String {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.add_template("page.html", TEMPLATE).expect("the template is a constant that parses");
    let objective = content.rto_objective;
    let plot = plot::plot(&content.trend, objective);
    let template = environment.get_template("page.html").expect("it was added above");
    let page = template.render(context! { content, plot }).expect("the template uses what the content has");
    text::lines(&page).into_owned()
}
