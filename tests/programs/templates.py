"""Many Jinja2 templates, rendered."""

import hashlib

import jinja2

BASE = "<html>{% block head %}{% endblock %}<body>{% block body %}{% endblock %}</body></html>"
PAGE = """{% extends 'base' %}
{% macro cell(x, cls='n') %}<td class="{{ cls }}">{{ x|e }}</td>{% endmacro %}
{% block head %}<title>{{ title|title }} N</title>{% endblock %}
{% block body %}<table>{% for row in rows if row.n is not divisibleby 7 %}
<tr>{{ cell(row.n) }}{{ cell(row.text|upper, 't') }}{{ cell(row.text|length + N) }}</tr>
{%- else %}none{% endfor %}</table>{{ rows|map(attribute='n')|sum }}{% endblock %}"""

sources = {"base": BASE}
sources |= {f"page{n}": PAGE.replace("N", str(n)) for n in range(120)}
environment = jinja2.Environment(loader=jinja2.DictLoader(sources), autoescape=True)
digest = hashlib.sha256()
size = 0
for n in range(120):
    rows = [{"n": i, "text": f"<{i}&{n}>" * (i % 9)} for i in range(80)]
    text = environment.get_template(f"page{n}").render(title=f"page {n}", rows=rows)
    digest.update(text.encode())
    size += len(text)
print(size, digest.hexdigest())
