//! The page that people look at, with its script, its style and its icon. They are in the program, and name nothing outside of it.

/// A file of the page.
pub struct File {
    pub path: &'static str,
    pub kind: &'static str,
    pub text: &'static str,
}

/// What a browser may do with anything that comes from here (Content Security Policy 3): run the script, apply the style, show the icon and
/// take the events, all from this server; nothing that stands within a document, no frame, no form.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
                          form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

const FILES: [File; 4] = [
    File {
        path: "/",
        kind: "text/html; charset=utf-8",
        text: include_str!("page/index.html"),
    },
    File {
        path: "/page.js",
        kind: "text/javascript; charset=utf-8",
        text: include_str!("page/page.js"),
    },
    File {
        path: "/page.css",
        kind: "text/css; charset=utf-8",
        text: include_str!("page/page.css"),
    },
    File {
        path: "/icon.svg",
        kind: "image/svg+xml",
        text: include_str!("page/icon.svg"),
    },
];

/// The file at this path.
pub fn file(path: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.path == path)
}

#[cfg(test)]
mod tests {
    use super::*;

    // req 125
    #[test]
    fn the_page_names_nothing_outside_and_has_nothing_inline() {
        for file in &FILES {
            // The namespace of SVG is a name, and nothing is asked for there.
            let text = file.text.replace("http://www.w3.org/2000/svg", "");
            for forbidden in [
                "http://", "https://", "\"//", "'//", "url(", "@import", "data:",
            ] {
                assert!(!text.contains(forbidden), "{}: {forbidden}", file.path);
            }
            for forbidden in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "cookie",
                "localStorage",
            ] {
                assert!(!text.contains(forbidden), "{}: {forbidden}", file.path);
            }
        }
        let page = file("/").map(|file| file.text).unwrap_or_default();
        for forbidden in [" style=", "<style", " onclick", " onload", "javascript:"] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
        assert_eq!(page.matches("<script").count(), 1);
        for part in [
            "src=\"/page.js\"",
            "href=\"/page.css\"",
            "href=\"/icon.svg\"",
        ] {
            assert!(page.contains(part), "{part}");
        }
        assert!(!POLICY.contains("unsafe"));
    }
}
