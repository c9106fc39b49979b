//! Regular expressions as Envoy takes them: RE2's syntax over bytes. One that RE2 refuses would make Envoy refuse all routes of
//! a port, so it is found here, in the object that has it. No crate reads RE2's dialect: it takes `{id}` as it stands and
//! refuses `a**`, where others do the reverse.

mod class;
mod cursor;
mod names;

use cursor::Cursor;

/// RE2's limit of counted repetitions, nested ones multiplied.
const MOST_REPEATS: u64 = 1000;
/// What the bootstrap lets Envoy take (`re2.max_program_size.error_level`).
const LARGEST: u64 = 32_768;

/// What is wrong with an expression.
type Fault = &'static str;

/// What is wrong with an expression, if anything is.
pub(super) fn fault(pattern: &str) -> Option<Fault> {
    if pattern.is_empty() {
        return Some("an empty regular expression");
    }
    let parser = Parser { cursor: Cursor(pattern.as_bytes()), open: Vec::new(), group: Group::default() };
    match parser.run() {
        Ok(size) if size > LARGEST => Some("it is too large: count to less"),
        Ok(_) => None,
        Err(fault) => Some(fault),
    }
}

/// A part of an expression.
#[derive(Clone, Copy, Default)]
struct Part {
    /// At least as many instructions of RE2's.
    size: u64,
    /// The product of the counts inside.
    repeats: u64,
}

/// A group whose end is not read yet.
#[derive(Default)]
struct Group {
    done: Part,
    /// What `*` would repeat.
    last: Option<Part>,
}

impl Group {
    fn push(&mut self, part: Part) {
        if let Some(last) = self.last.replace(part) {
            self.done = Part { size: self.done.size.saturating_add(last.size), repeats: self.done.repeats.max(last.repeats) };
        }
    }

    /// The end of an alternative: nothing is left to repeat.
    fn close(&mut self) {
        self.push(Part::default());
        self.last = None;
    }
}

struct Parser<'a> {
    cursor: Cursor<'a>,
    /// The groups around `group`, the outermost first.
    open: Vec<Group>,
    group: Group,
}

impl Parser<'_> {
    /// The size of the whole expression.
    fn run(mut self) -> Result<u64, Fault> {
        let mut repeated = false;
        while let Some(byte) = self.cursor.next() {
            let was_repeated = std::mem::take(&mut repeated);
            let counts = match byte {
                b'*' | b'+' => Some((u64::from(byte == b'+'), None)),
                b'?' => Some((0, Some(1))),
                b'{' => self.cursor.counts(),
                _ => None,
            };
            if let Some((least, most)) = counts {
                if was_repeated {
                    return Err("one repetition follows another: put the first into (?:...)");
                }
                self.cursor.take(b"?");
                self.repeat(least, most)?;
                repeated = true;
                continue;
            }
            match byte {
                b'(' => self.open()?,
                b')' => {
                    let outer = self.open.pop().ok_or("a ) without a (")?;
                    self.group.close();
                    let inner = std::mem::replace(&mut self.group, outer).done;
                    self.group.push(inner);
                }
                b'|' => self.group.close(),
                b'[' => {
                    class::class(&mut self.cursor)?;
                    self.atoms(1);
                }
                b'\\' => self.escape()?,
                _ => self.atoms(1),
            }
        }
        if !self.open.is_empty() {
            return Err("a ( without a )");
        }
        self.group.close();
        Ok(self.group.done.size)
    }

    /// Parts of one instruction each.
    fn atoms(&mut self, count: usize) {
        (0..count).for_each(|_| self.group.push(Part { size: 1, repeats: 1 }));
    }

    /// After a count.
    fn repeat(&mut self, least: u64, most: Option<u64>) -> Result<(), Fault> {
        let part = self.group.last.as_mut().ok_or("nothing stands before the repetition")?;
        let count = most.unwrap_or(least);
        if count < least || count > MOST_REPEATS {
            return Err("a counted repetition of more than 1000, or one that ends before it begins");
        }
        part.repeats = part.repeats.max(1).saturating_mul(count.max(1));
        part.size = part.size.saturating_mul(if most.is_none() { count.max(1) } else { count });
        if part.repeats > MOST_REPEATS { Err("counted repetitions inside each other of more than 1000 together") } else { Ok(()) }
    }

    /// After `(`: a group, with a name or flags, or flags for what follows.
    fn open(&mut self) -> Result<(), Fault> {
        let mut begins = true;
        if self.cursor.take(b"?P<") || self.cursor.take(b"?<") {
            let name = self.cursor.until(b">").ok_or("a group's name without a >")?;
            if name.is_empty() || !name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_') {
                return Err("a group's name is of letters, digits and _ (RE2 cannot look behind)");
            }
        } else if self.cursor.take(b"?") {
            begins = self.flags()?;
        }
        if begins {
            self.open.push(std::mem::take(&mut self.group));
        }
        Ok(())
    }

    /// After `(?`: whether a group begins behind the flags.
    fn flags(&mut self) -> Result<bool, Fault> {
        let (mut negated, mut complete) = (false, true);
        loop {
            match self.cursor.next() {
                Some(b'i' | b'm' | b's' | b'U') => complete = true,
                Some(b'-') if !negated => (negated, complete) = (true, false),
                Some(end @ (b':' | b')')) if complete => return Ok(end == b':'),
                _ => return Err("RE2 knows the flags i, m, s and U, and does not look around"),
            }
        }
    }

    /// After `\`.
    fn escape(&mut self) -> Result<(), Fault> {
        if self.cursor.take(b"Q") {
            let end = self.cursor;
            let text = self.cursor.until(b"\\E").unwrap_or_else(|| {
                self.cursor = Cursor(b"");
                end.0
            });
            self.atoms(text.len());
            return Ok(());
        }
        let is_known = self.cursor.one_of(b"AzbBC") || self.cursor.one_of(class::PERL);
        if !is_known && !class::unicode(&mut self.cursor)? {
            self.cursor.escaped()?;
        }
        self.atoms(1);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::fault;

    /// All of both lists were given to Envoy 1.40, which is of the same opinion.
    const TAKEN: &str = r"a /v[0-9]+/.* (?i)chrome|firefox ^/\w+\.html$ \pL\p{Greek} (?P<id>x{1,1000}) (?<id>x)(?P<id>y) a\/b é
        /api/{id} a{,5} x{01} x{2 \Qa.b\E+ \Qa( \0 \01 \< \_ \C \p{^Greek} \P{Any} [\pN\P{Lu}] \x{FF} \xfF []a] [^]a-] [a-] [-z] [\d-z]
        [[:alpha:]_] [[:^word:]] [[:a] [é-è] ^* \b+? (a*)* (?:a{2}){500} (?:) ()* (?) (?i-s:a) a*(?i)* (|a) || (a{0}){1000} ] } x{2,}?
        (abcdefghijklmnopqrstuvwxyzab){1000} .{1000} \pL{1000}";
    const REFUSED: &str = r"* a** /v[0-9]++ a*?* x{2}{3} a|* (?i)* \Q\E* ( ) a) (a (?=b) (?<!b) (?<a (?P<a-b>x) (?x)a (?i-) (?--i)
        (a)\1 \8 \777 a{1001} a{2,1} x{1001,} (a{500}){500} (?:a{2}){501} ((a{10}){11}){10} \u0041 \Z \h \é a\ \x \x4 \x{} \x{100} \x{10FFFF} \x{+1}
        [ [] [a [z-a] [a-\d] [\b] [\Qa\E] [[:nope:]] [a\] \p \p{} \p{Nonsense} \p{Letter} \p{Alphabetic} \p{greek} \p{Script=Latin} \p{gc=Lu} \p{Cn}
        \p{ASCII} \p{Assigned} \p{Greek \pX [\pX] (abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz){1000}";

    #[test]
    fn takes_what_re2_takes() {
        let found: Vec<_> = TAKEN.split_whitespace().filter_map(|pattern| Some((pattern, fault(pattern)?))).collect();
        assert_eq!(found, []);
    }

    #[test]
    fn refuses_what_re2_refuses() {
        let passed: Vec<_> = REFUSED.split_whitespace().chain([""]).filter(|pattern| fault(pattern).is_none()).collect();
        assert_eq!(passed, Vec::<&str>::new());
    }
}
