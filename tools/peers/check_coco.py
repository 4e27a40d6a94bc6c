"""music_coco_eval beside pycocotools on random files.

    check_coco.py BUILD [FIRST [LAST]]

Makes the files of coco_random.py for these seeds (0 to 19), scores each with both
(--pycocotools: also where that is wrong) and compares the twelve numbers and the
AP of each category. Exit status 1 when a difference is above 1e-12.
"""
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))


def ask(*command):
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return json.loads(done.stdout)


def main():
    build = sys.argv[1]
    first, last = (int(v) for v in (sys.argv[2:4] + ['0', '19'][len(sys.argv) - 2:]))
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(first, last + 1):
            subprocess.run([sys.executable, f'{HERE}/coco_random.py', folder, str(seed)], check=True)
            for kind in ('bbox', 'segm'):
                files = f'{folder}/gt.json', f'{folder}/{kind}.json'
                peer = ask(sys.executable, f'{HERE}/coco_peer.py', *files, kind)
                ours = ask(f'{build}/music_coco_eval', '--gt', files[0], '--results', files[1],
                           '--iou', kind, '--json', '--pycocotools')
                values = [row['value'] for row in ours['scores']]
                expected = peer['stats'] + peer['categories']
                if len(values) != len(expected):
                    sys.exit(f'seed {seed}, {kind}: {len(values)} numbers, expected {len(expected)}')
                error = max(abs(a - b) for a, b in zip(values, expected))
                if error > 1e-12:
                    print(f'seed {seed}, {kind}: {error:.1e}')
                worst = max(worst, error)
    print(f'largest difference {worst:.1e}')
    sys.exit(worst > 1e-12)


if __name__ == '__main__':
    main()
