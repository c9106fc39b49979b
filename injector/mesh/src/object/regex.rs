//! Regular expressions as Envoy takes them: RE2's syntax. One that RE2 refuses would make Envoy refuse all routes of a port,
//! so it is found here, in the object that has it.

use regex_syntax::ast::{self, Ast, FlagsItemKind, LiteralKind, RepetitionKind, RepetitionRange, Visitor};

/// RE2's limit of a counted repetition.
const MOST_REPEATS: u32 = 1000;

/// What is wrong with an expression, if anything is.
pub(super) fn fault(pattern: &str) -> Option<String> {
    if pattern.is_empty() {
        return Some("an empty regular expression".into());
    }
    // regex-syntax knows a little more than RE2: that is refused on the parsed expression.
    match ast::parse::Parser::new().parse(pattern) {
        Ok(parsed) => ast::visit(&parsed, BeyondRe2).err().map(String::from),
        Err(error) => Some(error.kind().to_string()),
    }
    .or_else(|| regex_syntax::parse(pattern).err().map(|error| kind_of(&error)))
}

/// The errors' own `Display` draws the pattern over several lines.
fn kind_of(error: &regex_syntax::Error) -> String {
    match error {
        regex_syntax::Error::Parse(error) => error.kind().to_string(),
        regex_syntax::Error::Translate(error) => error.kind().to_string(),
        _ => "not a regular expression".into(),
    }
}

struct BeyondRe2;

impl Visitor for BeyondRe2 {
    type Output = ();
    type Err = &'static str;

    fn finish(self) -> Result<(), &'static str> {
        Ok(())
    }

    fn visit_pre(&mut self, part: &Ast) -> Result<(), &'static str> {
        match part {
            Ast::Repetition(repetition) => match &repetition.op.kind {
                RepetitionKind::Range(range) if most(range) > MOST_REPEATS => Err("a repetition of more than 1000"),
                _ => Ok(()),
            },
            Ast::Flags(flags) => known_flags(&flags.flags),
            Ast::Group(group) => group.flags().map_or(Ok(()), known_flags),
            Ast::Literal(literal) => match &literal.kind {
                LiteralKind::HexFixed(ast::HexLiteralKind::UnicodeShort | ast::HexLiteralKind::UnicodeLong)
                | LiteralKind::HexBrace(ast::HexLiteralKind::UnicodeShort | ast::HexLiteralKind::UnicodeLong) => {
                    Err(r"\u and \U are unknown to RE2: write \x{...}")
                }
                _ => Ok(()),
            },
            Ast::Assertion(assertion) => match assertion.kind {
                ast::AssertionKind::StartLine
                | ast::AssertionKind::EndLine
                | ast::AssertionKind::StartText
                | ast::AssertionKind::EndText
                | ast::AssertionKind::WordBoundary
                | ast::AssertionKind::NotWordBoundary => Ok(()),
                _ => Err("halves of word boundaries are unknown to RE2"),
            },
            _ => Ok(()),
        }
    }

    fn visit_class_set_binary_op_pre(&mut self, _: &ast::ClassSetBinaryOp) -> Result<(), &'static str> {
        Err("operations on character classes are unknown to RE2")
    }
}

fn most(range: &RepetitionRange) -> u32 {
    match range {
        RepetitionRange::Exactly(count) | RepetitionRange::AtLeast(count) | RepetitionRange::Bounded(_, count) => *count,
    }
}

fn known_flags(flags: &ast::Flags) -> Result<(), &'static str> {
    let unknown = |item: &ast::FlagsItem| {
        matches!(item.kind, FlagsItemKind::Flag(ast::Flag::Unicode | ast::Flag::CRLF | ast::Flag::IgnoreWhitespace))
    };
    if flags.items.iter().any(unknown) { Err("RE2 knows the flags i, m, s and U alone") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::fault;

    #[test]
    fn takes_what_re2_takes() {
        for pattern in ["a", "/v[0-9]+/.*", "(?i)chrome|firefox", r"^/\w+\.html$", r"\pL\p{Greek}", "(?P<id>x{1,1000})", r"a\/b"] {
            assert_eq!(fault(pattern), None, "{pattern}");
        }
    }

    #[test]
    fn refuses_what_re2_refuses() {
        for pattern in ["", "*", "(", "a(?=b)", r"(a)\1", "a{1001}", "(?x)a b", r"\u0041", "[a&&b]", r"\p{Nonsense}", r"\b{start}a"] {
            assert!(fault(pattern).is_some(), "{pattern}");
        }
    }
}
