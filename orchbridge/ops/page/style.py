"""How it looks: one sheet, light and dark, from a phone to a wall."""

from __future__ import annotations

LIGHT = {
    "ink": "#1a2130", "soft": "#535e70", "paper": "#f4f6f9", "card": "#ffffff", "line": "#dde2ea", "link": "#0a58a8",
    "good": "#0b6640", "goodbg": "#dcf3e6", "bad": "#a61b14", "badbg": "#fde4e1", "warn": "#754b00",
    "warnbg": "#fdefcf", "calm": "#36455c", "calmbg": "#e8edf4",
    "finished": "#168a55", "failed": "#d22f26", "errored": "#a3329a", "skipped": "#9a6b00", "running": "#2c6bd6",
    "waiting": "#ced5e0",
}  # fmt: skip
DARK = {
    "ink": "#e8ebf1", "soft": "#a3adbd", "paper": "#0f1319", "card": "#181e27", "line": "#2c3542", "link": "#8bbcff",
    "good": "#7adfae", "goodbg": "#12331f", "bad": "#ffa69e", "badbg": "#451b18", "warn": "#f3c96b",
    "warnbg": "#3a2c0c", "calm": "#c3cede", "calmbg": "#27303d",
    "finished": "#37b377", "failed": "#f0625a", "errored": "#d675cd", "skipped": "#d1a13a", "running": "#5a9bff",
    "waiting": "#3d4857",
}  # fmt: skip
# What is written on what, and must be readable there; parts of bars lie on cards.
TEXT_ON = (
    *((ink, ground) for ink in ("ink", "soft", "link") for ground in ("paper", "card")),
    *((word, f"{word}bg") for word in ("good", "bad", "warn", "calm")),
    ("ink", "calmbg"), ("ink", "badbg"), ("ink", "warnbg"), ("ink", "goodbg"), ("bad", "card"), ("warn", "card"),
    *(("link", ground) for ground in ("badbg", "warnbg", "calmbg")),
)  # fmt: skip
PARTS_ON = tuple((part, "card") for part in ("finished", "failed", "errored", "skipped", "running"))


def _variables(colours: dict[str, str]) -> str:
    return ";".join(f"--{name}:{value}" for name, value in colours.items())


_PARTS = {"connected": "finished", "disconnected": "failed"} | {
    name: name for name in ("finished", "failed", "errored", "skipped", "running", "waiting")
}

STYLE = f"""
:root{{color-scheme:light dark;{_variables(LIGHT)}}}
@media(prefers-color-scheme:dark){{:root{{{_variables(DARK)}}}}}
*{{box-sizing:border-box}}
html{{scroll-padding-top:1rem;-webkit-text-size-adjust:100%}}
body{{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,
"Noto Sans",sans-serif;overflow-wrap:anywhere}}
.page{{max-width:74rem;margin:0 auto;padding:1.1rem 1rem 2.5rem}}
a{{color:var(--link);text-underline-offset:.15em}}
:focus-visible{{outline:3px solid var(--link);outline-offset:2px;border-radius:.25rem}}
.skip{{position:absolute;left:-100vw}}.skip:focus{{position:static}}
.unseen{{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}}
header{{display:flex;flex-wrap:wrap;gap:.2rem 1rem;align-items:baseline;margin-bottom:.9rem}}
header nav{{margin-left:auto;display:flex;flex-wrap:wrap;gap:.1rem 1rem}}
h1{{font-size:1.3rem;line-height:1.3;margin:0;letter-spacing:-.01em}}h1 a{{color:inherit;text-decoration:none}}
h2{{font-size:1.08rem;margin:0 0 .6rem}}h2 small{{font-weight:400;margin-left:.3rem}}
h3{{font-size:.95rem;margin:1.1rem 0 .35rem}}h4{{font-size:.87rem;margin:1rem 0 .2rem;color:var(--soft)}}
h2+h3,h2+div>h3:first-child{{margin-top:0}}
small,.soft{{color:var(--soft)}}small{{font-size:.87rem}}p{{margin:.3rem 0}}
.banner{{padding:.65rem 1rem;border-radius:.7rem;border-left:.35rem solid currentColor}}
.banner ul{{margin:.25rem 0 0;padding-left:1.1rem;color:var(--ink)}}.banner li{{margin:.15rem 0}}
#stale{{margin-bottom:.7rem}}
section{{background:var(--card);border:1px solid var(--line);border-radius:.9rem;padding:1rem 1.1rem;margin:1rem 0}}
.tiles{{list-style:none;margin:.9rem 0 0;padding:0;display:grid;
grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.7rem}}
.tiles a{{display:block;height:100%;padding:.65rem .9rem;background:var(--card);border:1px solid var(--line);
border-radius:.9rem;color:var(--ink);text-decoration:none;line-height:1.35}}
.tiles a:hover{{border-color:var(--link)}}
.tiles b{{display:block;font-size:1.55rem;line-height:1.2;font-variant-numeric:tabular-nums}}
.tiles span,.tiles small{{display:block}}.tiles a.bad b{{color:var(--bad)}}.tiles a.warn b{{color:var(--warn)}}
.source+.source{{border-top:1px solid var(--line);margin-top:1.2rem;padding-top:.2rem}}
.facts,.legend,.names,.jobs,.groups{{list-style:none;padding:0;margin:.35rem 0}}
.facts,.legend{{display:flex;flex-wrap:wrap;gap:.1rem 1.3rem;font-variant-numeric:tabular-nums}}
.facts{{color:var(--soft);font-size:.92rem;margin-bottom:.6rem}}.facts b{{color:var(--ink);font-weight:600}}
.legend{{gap:.1rem 1rem;font-size:.87rem;color:var(--soft);margin-bottom:0}}
.dot{{display:inline-block;width:.65rem;height:.65rem;border-radius:.2rem;margin-right:.4rem}}
.names{{display:flex;flex-wrap:wrap;gap:.1rem 1rem}}.more{{margin:.5rem 0 0}}
table{{width:100%;border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.94rem}}
thead th{{font-weight:500;color:var(--soft);font-size:.85rem;padding-top:0}}
th,td{{text-align:left;padding:.38rem .9rem .38rem 0;border-bottom:1px solid var(--line);vertical-align:top}}
tbody tr:last-child>*{{border-bottom:0}}tr:has(+.wide)>*{{border-bottom:0;padding-bottom:.1rem}}
tbody th{{font-weight:600}}time,.when{{white-space:nowrap}}
.two tbody th{{font-weight:500}}.two>:last-child table{{table-layout:fixed}}
.two>:last-child th:nth-child(1){{width:32%}}.two>:last-child th:nth-child(3){{width:15%}}
.source table{{table-layout:fixed}}.source th:nth-child(3){{width:26%}}
.mishap{{margin:0;padding:.4rem .7rem;border-radius:.5rem;background:var(--calmbg);color:var(--ink)}}
.mishap.error{{background:var(--badbg);color:var(--ink)}}.mishap.warning{{background:var(--warnbg)}}
.mishap.soft{{background:none;color:var(--soft);padding:0}}
.pill{{display:inline-block;padding:0 .55rem;border-radius:1rem;background:var(--calmbg);color:var(--calm);
font-size:.85rem;font-weight:500;white-space:nowrap}}
.good{{background:var(--goodbg);color:var(--good)}}.bad{{background:var(--badbg);color:var(--bad)}}
.warn{{background:var(--warnbg);color:var(--warn)}}.tiles .bad,.tiles .warn{{background:var(--card)}}
.error:not(.mishap){{color:var(--bad)}}
.bar{{height:.6rem;border-radius:.3rem;overflow:hidden;background:var(--waiting);margin:.3rem 0 .25rem;
forced-color-adjust:none}}
.bar svg{{display:block;width:100%;height:100%}}
{"".join(f".s-{name}{{fill:var(--{of});background:var(--{of})}}" for name, of in _PARTS.items())}
.dot{{forced-color-adjust:none}}
.jobs{{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,27rem),1fr));gap:0 2.5rem}}
.jobs>li{{padding:.5rem 0 .55rem;border-top:1px solid var(--line);min-width:0}}
.head{{display:flex;flex-wrap:wrap;gap:0 .6rem;align-items:baseline}}.when{{margin-left:auto;
font-variant-numeric:tabular-nums}}
.description{{margin:.05rem 0;font-size:.92rem}}
.groups>li{{border-bottom:1px solid var(--line)}}.groups>li:last-child{{border-bottom:0}}
summary{{cursor:pointer;padding:.5rem 0;display:flex;gap:.9rem;align-items:baseline}}
summary::before{{content:"▸";color:var(--soft)}}details[open]>summary::before{{content:"▾"}}
summary::-webkit-details-marker{{display:none}}
.size{{flex:none;min-width:6.2rem;color:var(--bad);font-variant-numeric:tabular-nums}}
.what{{flex:1;min-width:0}}.what small{{display:block}}.message{{font-weight:600}}
details>:not(summary){{margin-left:1.5rem}}details[open]{{padding-bottom:.8rem}}
details table{{width:calc(100% - 1.5rem)}}
.two{{display:grid;gap:0 2.5rem}}@media(min-width:60rem){{.two{{grid-template-columns:minmax(0,1fr) minmax(0,1.7fr)}}}}
footer{{color:var(--soft);font-size:.87rem;margin-top:1.3rem}}
a:not([href]){{color:inherit;text-decoration:none}}
.prose{{padding:1.2rem 1.4rem;background:var(--card);border:1px solid var(--line);border-radius:.9rem;max-width:56rem}}
.prose h1{{font-size:1.35rem;margin:0 0 .6rem}}.prose h2{{margin:1.4rem 0 .4rem}}
.prose ul,.prose ol{{padding-left:1.3rem}}.prose li{{margin:.2rem 0}}
.prose pre{{background:var(--calmbg);padding:.7rem .9rem;border-radius:.5rem;white-space:pre-wrap}}
.prose code{{background:var(--calmbg);padding:.05rem .3rem;border-radius:.25rem;font-size:.9em}}
.prose pre code{{padding:0;background:none}}.prose table{{margin:.6rem 0}}
@media(max-width:44rem){{
.page{{padding:.9rem .7rem 2rem}}section{{padding:.9rem .8rem}}header nav{{margin-left:0}}
.tiles{{grid-template-columns:1fr 1fr;gap:.5rem}}
table:not(.prose table){{display:block}}tbody:not(.prose *),tr:not(.prose *){{display:block}}
thead:not(.prose *){{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}}
tr:not(.prose *){{padding:.45rem 0;border-bottom:1px solid var(--line)}}
tbody tr:last-child{{border-bottom:0}}tr:has(+.wide){{border-bottom:0;padding-bottom:0}}
tbody tr:not(.prose *){{display:flex;flex-wrap:wrap;gap:.05rem 1.1rem}}
tr:not(.prose *)>*{{padding:0;border:0}}tbody th:not(.prose *),.wide>*{{flex-basis:100%}}
td[data-name]::before{{content:attr(data-name) " ";color:var(--soft)}}
.prose{{padding:.9rem}}.prose thead{{display:none}}.prose tr,.prose td,.prose th{{display:block}}
.prose tr{{padding:.5rem 0;border-bottom:1px solid var(--line)}}.prose td,.prose th{{padding:0;border:0}}
summary{{flex-wrap:wrap;gap:0 .6rem}}.size{{min-width:0}}.what{{flex-basis:100%}}
details>:not(summary){{margin-left:0}}details table{{width:100%}}
}}
@media(prefers-reduced-motion:no-preference){{html{{scroll-behavior:smooth}}
.bar rect{{transition:x .4s,width .4s}}}}
@media(forced-colors:active){{.pill,.banner,.mishap{{border:1px solid}}}}
"""
