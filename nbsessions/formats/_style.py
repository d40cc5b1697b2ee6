"""How an exported page looks: light, dark, narrow, and on paper."""

from __future__ import annotations

# The names are JupyterLab's, because that is what the live display, whose HTML stands in it, uses.
STYLE = """\
:root {
  color-scheme: light dark;
  --page: #ffffff; --ink: #1f2328; --soft: #f6f8fa; --tint: #eef5ff; --edge: #2f6fd0;
  --jp-content-font-color1: var(--ink);
  --jp-ui-font-color2: #636c76;
  --jp-border-color2: #d5dbe1;
  --jp-cell-editor-background: var(--soft);
  --jp-content-link-color: #0a5cc4;
  --jp-error-color1: #b42318;
  --jp-code-font-family: ui-monospace, "SF Mono", "Cascadia Code", Menlo, Consolas, monospace;
  --jp-code-font-size: .86em;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --page: #15181d; --ink: #e3e7ec; --soft: #1e232a; --tint: #1b2636; --edge: #6ea8ff;
    --jp-ui-font-color2: #9aa5b1;
    --jp-border-color2: #363d47;
    --jp-content-link-color: #7ab0ff;
    --jp-error-color1: #ff8a80;
    --jp-mirror-editor-keyword-color: #ff8fa3;
    --jp-mirror-editor-atom-color: #b6a5ff;
    --jp-mirror-editor-builtin-color: #7ee0c3;
    --jp-mirror-editor-def-color: #7ab0ff;
    --jp-mirror-editor-meta-color: #d2a8ff;
    --jp-mirror-editor-tag-color: #7ee0a0;
    --jp-mirror-editor-attribute-color: #7ab0ff;
    --jp-mirror-editor-string-color: #f2b880;
    --jp-mirror-editor-string-2-color: #f2a0d0;
    --jp-mirror-editor-number-color: #9ed67c;
    --jp-mirror-editor-operator-color: #c9a7ff;
    --jp-mirror-editor-comment-color: #8fa3a8;
    --jp-mirror-editor-header-color: #7ab0ff;
    --jp-mirror-editor-quote-color: #9ed67c;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink); overflow-wrap: anywhere;
  font: 16px/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif;
}
main { max-width: 50rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
main + main { border-top: 1px solid var(--jp-border-color2); }
header { border-bottom: 1px solid var(--jp-border-color2); padding-bottom: 1rem; margin-bottom: 1.5rem; }
header h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .9rem; letter-spacing: -.01em; }
dl { display: flex; flex-wrap: wrap; gap: .55rem 2rem; margin: 0; font-size: .88rem; line-height: 1.4; }
dt { color: var(--jp-ui-font-color2); font-size: .78rem; }
dd { margin: 0; font-variant-numeric: tabular-nums; }
section { margin: 0 0 2.25rem; scroll-margin-top: 1rem; }
.prompt {
  background: var(--tint); border-left: 3px solid var(--edge); border-radius: 0 8px 8px 0;
  padding: .7rem 1rem .75rem; margin: 0 0 1rem;
}
.prompt > :last-child, .answer > :last-child { margin-bottom: 0 !important; }
.by { color: var(--jp-ui-font-color2); font-size: .8rem; margin-bottom: .15rem; }
.by b { color: var(--edge); font-weight: 600; margin-right: .5rem; }
.answer { padding: 0 1rem; }
.answer > details { margin: .3rem 0 .5rem !important; }
code { font-family: var(--jp-code-font-family); font-size: var(--jp-code-font-size); }
:not(pre) > code { background: var(--soft); border-radius: 4px; padding: .12em .35em; }
.prompt :not(pre) > code { background: color-mix(in srgb, var(--edge) 12%, transparent); }
pre { max-width: 100%; }
li { margin: .15em 0; }
summary:focus-visible, a:focus-visible { outline: 2px solid var(--edge); outline-offset: 2px; }
footer { color: var(--jp-ui-font-color2); font-size: .78rem; padding: .6rem 1rem 0; }
.note { color: var(--jp-ui-font-color2); }
.failed { color: var(--jp-error-color1); font-size: .88rem; padding: 0 1rem; margin: -1rem 0 2rem; }
.contents { font-size: .9rem; margin: 0 0 1.75rem; color: var(--jp-ui-font-color2); }
.contents summary { cursor: pointer; }
.contents a { color: var(--jp-content-link-color); text-decoration: none; }
.contents a:hover { text-decoration: underline; }
@media (max-width: 40rem) {
  main { padding: 1.5rem .9rem 3rem; }
  .answer, footer, .failed { padding-left: .15rem; padding-right: .15rem; }
}
@media print {
  :root { color-scheme: light; --soft: #fff; --tint: #fff; }
  body { font-size: 10.5pt; }
  main { max-width: none; padding: 0; }
  main + main { break-before: page; border: 0; }
  .contents { display: none; }
  .prompt, pre, table, tr { break-inside: avoid; }
  pre { white-space: pre-wrap !important; max-height: none !important; }
  a { color: inherit !important; }
  details::details-content { content-visibility: visible; display: block; block-size: auto; }
}
"""
