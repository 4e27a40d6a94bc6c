"""The page of an atlas in a headless browser: atlas_browser.py ATLAS [IMAGES-PER-JUMP]

Opens it from disk, scrolls, searches, looks at an image, in light and dark, as a
phone and without scripts. Exit 77 where there is no browser.
"""
import pathlib
import sys

import browser

TILES = '''(() => {
  const view = document.getElementById('view').getBoundingClientRect();
  const seen = [...document.querySelectorAll('.grid .tile')].filter(t => {
    const r = t.getBoundingClientRect();
    return r.bottom > view.top && r.top < view.bottom;
  });
  return [seen.length, seen.filter(t => t.dataset.ready !== '1').length,
          seen.filter(t => !t.style.backgroundColor).length];
})()'''
FRAME = 'new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done())))'
WAIT = 'new Promise(done => setTimeout(done, 400))'


def look(program, page):
    with browser.Browser(program) as b:
        seconds = b.open(page)
        n = b.run('atlas.n')
        timing = b.run('performance.timing.loadEventEnd - performance.timing.navigationStart')
        print(f'{n} images: opened in {seconds:.2f} s ({timing} ms by the page)')
        assert b.run("document.querySelectorAll('.unit-row').length") > 0
        b.run(WAIT)
        # All images, from end to end: no tile without its picture once a frame
        # has passed, and none without its colour at any time.
        b.run("go({ view: 'images' })")
        b.run(WAIT)
        blank = late = shown = 0
        height = b.run("document.getElementById('view').scrollHeight")
        step = b.run("document.getElementById('view').clientHeight")
        for y in range(0, max(1, height - step), max(step // 2, height // 200)):
            b.run(f"document.getElementById('view').scrollTop = {y}")
            b.run(FRAME)
            seen, waiting, bare = b.run(TILES)
            shown += seen
            late += waiting
            blank += bare
        print(f'scrolled {height} pixels: {shown} tiles seen, {late} without their picture, '
              f'{blank} blank')
        assert shown > 0 and blank == 0 and late == 0
        # An image, its code, a search by two of its segments.
        b.run('go({ image: 3 })')
        b.run(WAIT)
        assert b.run("document.querySelectorAll('aside .cell').length === atlas.S")
        assert b.run("document.querySelectorAll('.near .tile').length === 3 * atlas.near")
        b.run("document.querySelectorAll('aside .cell')[1].click()")
        b.run("document.querySelectorAll('aside .cell')[0].click()")
        b.run("document.querySelectorAll('aside .cell')[0].click()")
        assert b.run("state.same.size === 1 && state.different.size === 1")
        assert b.run('''found().length === Array.from({length: atlas.n}, (_, i) => i).filter(i =>
          atlas.unit(i, 1) === atlas.unit(3, 1) && atlas.unit(i, 0) !== atlas.unit(3, 0)).length''')
        b.run('history.back()')
        b.run(WAIT)
        assert b.run("state.different.size === 0 && state.same.size === 2")
        b.run("window.dispatchEvent(new KeyboardEvent('keydown', {key: 'Escape'}))")
        assert b.run("state.image === -1 && !document.querySelector('aside .cell')")
        b.run("go({ view: 'images', same: new Map(), different: new Map(), like: -1, label: -1 })")
        b.run("document.querySelector('.grid .tile').focus()")
        b.call('Input.dispatchKeyEvent', type='keyDown', key='ArrowRight', code='ArrowRight')
        assert b.run("document.activeElement.place === 1")
        b.run('''const field = document.querySelector('.bar input[type=search]');
          field.value = '0:1'; field.dispatchEvent(new Event('input'));''')
        assert b.run("state.same.get(0) === 1")
        assert b.complaints() == [], b.complaints()
        outside = [u for u in b.requested() if not u.startswith(('file:', 'data:', 'about:'))]
        assert outside == [], outside
    with browser.Browser(program, 390, 800, dark=True) as b:
        b.open(page + '#view=images&image=2')
        b.run(WAIT)
        assert b.run('document.documentElement.scrollWidth') <= 390
        assert b.complaints() == [], b.complaints()
    with browser.Browser(program, scripts=False) as b:
        b.open(page)
        # Scripts of the page are off; the tables are in the document.
        text = b.call('DOMSnapshot.captureSnapshot', computedStyles=[])
        assert 'surest images' in text['strings'], 'no table without scripts'


def main():
    program = browser.find()
    if not program:
        sys.exit(77)
    look(program, (pathlib.Path(sys.argv[1]).resolve() / 'index.html').as_uri())


if __name__ == '__main__':
    main()
