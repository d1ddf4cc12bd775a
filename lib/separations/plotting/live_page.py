"""The page side of `plotting.live`: HTML, style and JavaScript of a figure with sliders. Self-contained, nothing fetched."""

import json
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from .colors import COLORS

LEFT, TOP, RIGHT, BOTTOM = 44, 8, 12, 40  # margins of a plot, in units of its SVG
SIXES = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"  # one character for 0 to 63
Ticks = Sequence[tuple[float, str]]


class Slider(NamedTuple):
    """A slider: its label, one text for each position, the position at the start."""

    label: str
    texts: list[str]
    start: int


STYLE = (
    """
.sep-fig{--sep-back:var(--pst-color-background,#fff);max-width:48rem;margin:.5rem auto;font-size:.9rem;line-height:1.4;
text-align:left}
[data-jp-theme-light=false] .sep-fig{--sep-back:#111}
html[data-theme=dark] .bd-content div.cell_output div.text_html:has(div.sep-fig){background:none;color:inherit;padding:0}
.sep-panels{display:flex;flex-wrap:wrap;align-items:flex-end;gap:.5rem 1rem}
.sep-panel{flex:1 1 17rem;min-width:0}
.sep-caption{display:flex;flex-wrap:wrap;justify-content:space-between;align-items:baseline;gap:0 1rem;margin-bottom:.2rem}
.sep-caption span{font-size:.9em}
.sep-plot{position:relative}
.sep-plot svg{position:relative;display:block;width:100%;height:auto;overflow:visible;color:inherit}
.sep-plot canvas{position:absolute}
.sep-plot text{font-size:13px;fill:currentColor}
.sep-plot path,.sep-plot rect{fill:none;stroke:currentColor}
.sep-frame{opacity:.45}
.sep-arrows{stroke-width:1.1;opacity:.75}
.sep-plot path.sep-halo{stroke:var(--sep-back);stroke-width:5.5;stroke-linecap:round}
.sep-cross{stroke-width:2.4;stroke-linecap:round}
.sep-plot path.sep-curve{stroke-width:2.2;stroke-linejoin:round}
html[data-theme=dark] :is(.sep-curve,.sep-key,.sep-plot canvas),[data-jp-theme-light=false] :is(.sep-curve,.sep-key,.sep-plot canvas)
{filter:brightness(1.5)}
.sep-caption .sep-key{font-size:1em;font-weight:600}
.sep-caption:has(.sep-key){justify-content:flex-start}
.sep-panel:has(.sep-curve){max-width:36rem}
.sep-control{display:grid;grid-template-columns:minmax(4.5em,auto) 1fr 11em;gap:.2rem .8rem;align-items:center;margin-top:.5rem}
.sep-control input{width:100%;min-width:0;height:1.8rem;accent-color:var(--pst-color-primary,"""
    + COLORS["truth"]
    + """)}
.sep-control output{font-variant-numeric:tabular-nums;white-space:nowrap}
.sep-fig [hidden]{display:none}
.sep-fig p.sep-note{margin:.4rem 0 0;font-size:.85em;opacity:.85}
@media(max-width:480px){.sep-control{grid-template-columns:auto 1fr}.sep-control label{grid-row:1}.sep-control output{grid-row:1;text-align:right}
.sep-control input{grid-column:1/3}}
"""
)

# Shared by all figures: the sliders call draw([k1, k2]) with their positions.
CORE = """
const root=document.getElementById(ID),D=JSON.parse(root.querySelector("script[type='application/json']").textContent);
const bytes=s=>Uint8Array.from(atob(s),c=>c.charCodeAt(0)),sixes=s=>Uint8Array.from(s,c=>SIXES.indexOf(c));
const all=s=>[...root.querySelectorAll(s)];
const sliders=all("input"),outputs=all("output"),f=v=>v.toFixed(1);
DRAW
const update=()=>{sliders.forEach((s,i)=>{const text=D.texts[i][s.value];outputs[i].textContent=text;s.setAttribute("aria-valuetext",text)});
draw(sliders.map(s=>+s.value))};
sliders.forEach(s=>s.addEventListener("input",update));
all(".sep-control").forEach(c=>c.hidden=false);
update();
"""

# Arrows, training points and shading of one frame; `_Stage` in `plotting.live` draws the starting frame alike.
FIELDS = """
const P=D.panels.map((p,i)=>{const q=k=>all(k)[i],o={...p,field:bytes(p.field),arrows:q(".sep-arrows"),halo:q(".sep-halo"),cross:q(".sep-cross"),
span:all(".sep-caption span")[i]};
if(p.heat){o.heat=sixes(p.heat);o.pen=q(".sep-plot").querySelector("canvas").getContext("2d")}return o});
const draw=([k])=>{const n=D.nx*D.ny,sx=D.w/D.nx,sy=D.h/D.ny,r=Math.min(sx,sy)/254;
let c="";for(const[a,b]of D.points){const x=D.origin[0]+D.alpha[k]*a,y=D.origin[1]+D.alpha[k]*b;
c+=`M${f(x-3.5)} ${f(y-3.5)}l7 7m0-7l-7 7`}
for(const p of P){let d="";for(let j=0;j<n;j++){const a=(p.field[2*(k*n+j)]-128)*r,b=(128-p.field[2*(k*n+j)+1])*r;
if(!a&&!b)continue;
const x=(j%D.nx+.5)*sx+a,y=D.h-(Math.floor(j/D.nx)+.5)*sy+b;
const e=.8*a+.45*b,g=.8*b-.45*a;
d+=`M${f(x-2*a)} ${f(y-2*b)}l${f(2*a)} ${f(2*b)}m${f(-e)} ${f(-g)}l${f(e)} ${f(g)} ${f(.45*b-.8*a)} ${f(-.8*b-.45*a)}`}
p.arrows.setAttribute("d",d);p.halo.setAttribute("d",c);p.cross.setAttribute("d",c);p.span.textContent=p.longest[k];
if(p.heat){const[w,h]=p.size,m=p.pen.createImageData(w,h);
for(let j=0;j<w*h;j++){const o=4*((h-1-Math.floor(j/w))*w+j%w);m.data.set(p.rgb,o);m.data[o+3]=2.5*p.heat[k*w*h+j]}
p.pen.putImageData(m,0,0)}}};
"""

CURVES = """
const C=D.curves.map(bytes),lines=all(".sep-curve"),n=D.x.length;
const draw=k=>{const at=k.length>1?k[0]*D.texts[1].length+k[1]:k[0];
C.forEach((c,i)=>{let d="";for(let j=0;j<n;j++){const o=2*(at*n+j);d+=`${j?"L":"M"}${f(D.x[j])} ${f(D.h*(1-((c[o]+256*c[o+1])-16384)/32767))}`}
lines[i].setAttribute("d",d)})};
"""

# Two sliders as the ends of an interval: the one that moves pushes the other on, and stops where that cannot go further.
ORDERED = """
sliders.forEach((s,i)=>s.addEventListener("input",()=>{const o=sliders[1-i],d=i?-1:1;
if(+sliders[0].value>=+sliders[1].value){o.value=+s.value+d;if(+o.value!==+s.value+d)s.value=+o.value-d}}));
"""


def plot(
    size: tuple[float, float], xticks: Ticks, yticks: Ticks, names: tuple[str, str], inner: str, about: str
) -> str:
    """SVG of axes around a plotting area of the given size; `inner` is clipped to it. Ticks are (position, text)."""
    width, height = size
    parts = [f'<rect class="sep-frame" x="{LEFT}" y="{TOP}" width="{width:g}" height="{height:.1f}"/>']
    for at, text in xticks:
        parts.append(
            f'<text x="{LEFT + at:.1f}" y="{TOP + height + 16:.1f}" text-anchor="middle">{escape(text)}</text>'
        )
        parts.append(f'<path class="sep-frame" d="M{LEFT + at:.1f} {TOP + height:.1f}v4"/>')
    for at, text in yticks:
        parts.append(f'<text x="{LEFT - 7}" y="{TOP + at + 4.5:.1f}" text-anchor="end">{escape(text)}</text>')
        parts.append(f'<path class="sep-frame" d="M{LEFT} {TOP + at:.1f}h-4"/>')
    parts.append(
        f'<text x="{LEFT + width / 2:g}" y="{TOP + height + 35:.1f}" text-anchor="middle">{escape(names[0])}</text>'
    )
    turn = f'transform="translate(11 {TOP + height / 2:.1f}) rotate(-90)"'
    parts.append(f'<text {turn} text-anchor="middle">{escape(names[1])}</text>')
    box = f'x="{LEFT}" y="{TOP}" width="{width:g}" height="{height:.1f}"'
    parts.append(
        f'<svg {box} viewBox="0 0 {width:g} {height:.1f}" style="position:static;overflow:hidden">{inner}</svg>'
    )
    view = f"0 0 {LEFT + width + RIGHT:g} {TOP + height + BOTTOM:.1f}"
    return f'<svg viewBox="{view}" role="img" aria-label="{escape(about)}">{"".join(parts)}</svg>'


def canvas(size: tuple[float, float], pixels: tuple[int, int]) -> str:
    """A canvas of (columns, rows) pixels that lies under the plotting area of `plot`, stretched smoothly over it."""
    wide, high = size[0] + LEFT + RIGHT, size[1] + TOP + BOTTOM
    place = {"left": LEFT / wide, "top": TOP / high, "width": size[0] / wide, "height": size[1] / high}
    style = ";".join(f"{side}:{100 * part:.3f}%" for side, part in place.items())
    return f'<canvas width="{pixels[0]}" height="{pixels[1]}" style="{style}" aria-hidden="true"></canvas>'


def assemble(
    name: str,
    about: str,
    panels: Sequence[tuple[str, str]],
    sliders: Sequence[Slider],
    data: dict,
    draw: str,
    note: str,
) -> str:
    """The HTML of a figure: panels (caption, plot), sliders, the data and the script that draws them."""
    key = f"sep-{name}"
    body = "".join(
        f'<div class="sep-panel"><div class="sep-caption">{caption}</div><div class="sep-plot">{drawing}</div></div>'
        for caption, drawing in panels
    )
    controls = "".join(_control(f"{key}-{i}", slider) for i, slider in enumerate(sliders))
    shown = ", ".join(slider.texts[slider.start] for slider in sliders)
    data = data | {"texts": [slider.texts for slider in sliders]}
    # "<" is written as an escape, so that no text can end the script element.
    packed = json.dumps(data, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
    script = CORE.replace("DRAW", draw).replace("ID", json.dumps(key), 1).replace("SIXES", json.dumps(SIXES))
    return (
        f'<div class="sep-fig" id="{key}" role="group" aria-label="{escape(about)}"><style>{STYLE}</style>'
        f'<div class="sep-panels">{body}</div>{controls}<p class="sep-note">{escape(note)}</p>'
        f'<noscript><p class="sep-note">Shown: {escape(shown)}. The slider needs JavaScript.</p></noscript>'
        f'<script type="application/json">{packed}</script><script>(()=>{{{script}}})()</script></div>'
    )


def _control(key: str, slider: Slider) -> str:
    text = escape(slider.texts[slider.start])
    return (
        f'<div class="sep-control" hidden><label for="{key}">{escape(slider.label)}</label>'
        f'<input id="{key}" type="range" min="0" max="{len(slider.texts) - 1}" step="1" value="{slider.start}" '
        f'aria-valuetext="{text}" autocomplete="off"><output for="{key}" aria-live="off">{text}</output></div>'
    )
