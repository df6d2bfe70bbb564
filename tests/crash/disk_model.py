"""What a power cut may leave of a folder. Pure: operations in, possible contents of the disk out.

A file has the content of its last sync for sure; of what was written since, all, half, zeros of the right length, or
nothing. An operation on names (create, rename, link, unlink, mkdir) is atomic, and lasts for sure once a directory that
it touches has been synced after it returned; until then each may be there or not, whatever the others do. A sync covers
only what had come back before the sync began, so the calls of several threads may overlap. sync_file_range promises
nothing, and neither does time.

This is stricter than ext4, XFS and btrfs as they are (they keep the order of names), and that is the point: what holds
here holds on all of them, and does not lean on what one of them happens to do.
"""

import posixpath

ALL_SUBSETS_UP_TO = 5
DURABLE, HALF, ZEROS, FULL = range(4)


class File:
    def __init__(self, content=b""):
        self.synced = content
        self.pending = []   # (call's end, offset or size, data or None for a new size), since the last sync
        self._variants = None

    def change(self, ended, offset, data):
        self.pending.append((ended, offset, data))
        self._variants = None

    def sync(self, begun):
        """Makes durable what had been written before `begun`."""
        done = [change for change in self.pending if change[0] < begun]
        self.synced = apply_changes(self.synced, done)
        self.pending = [change for change in self.pending if change[0] >= begun]
        self._variants = None

    def size(self):
        return len(self.variant(FULL))

    def variant(self, which):
        """The content that a power cut may leave."""
        if self._variants is None:
            total = sum(len(data) for _, _, data in self.pending if data is not None)
            self._variants = (self.synced, apply_changes(self.synced, first_bytes(self.pending, total // 2)),
                              apply_changes(self.synced, [(e, o, None if d is None else bytes(len(d)))
                                                          for e, o, d in self.pending]),
                              apply_changes(self.synced, self.pending))
        return self._variants[which]


def apply_changes(content, changes):
    if not changes:
        return content
    content = bytearray(content)
    for _, offset, data in changes:
        if data is None:
            content = content[:offset] + bytes(max(0, offset - len(content)))
        else:
            content += bytes(max(0, offset - len(content)))
            content[offset:offset + len(data)] = data
    return bytes(content)


def first_bytes(changes, count):
    """The changes as far as the first `count` bytes written. A new size is told to the disk with the bytes after it."""
    kept = []
    for ended, offset, data in changes:
        if data is None:
            continue
        kept.append((ended, offset, data[:count]))
        count -= len(data[:count])
        if count == 0:
            break
    return kept


class Folder:
    pass


class NameChange:
    """One operation on names: takes some away and gives one, in one step."""

    def __init__(self, ended, removed, added, node):
        self.ended, self.removed, self.added, self.node = ended, removed, added, node
        self.durable = False

    def touches(self, folder):
        return any(place and place[0] is folder for place in (self.removed, self.added))

    def apply(self, names):
        if self.removed:
            names.get(self.removed[0], {}).pop(self.removed[1], None)
        if self.added:
            names.setdefault(self.added[0], {})[self.added[1]] = self.node


class Disk:
    """The living folder and what is durable of it."""

    def __init__(self):
        self.root = Folder()
        self.live = {self.root: {}}     # folder -> name -> File or Folder
        self.durable = {self.root: {}}  # the same after a power cut that takes all it can
        self.changes = []               # not durable as a whole yet, oldest first
        self.handles = {}

    # ---- what happens

    def perform(self, operation):
        """Returns whether a power cut may now leave something else than before."""
        method = getattr(self, "do_" + operation.kind, None)
        return method is not None and method(operation) is not False

    def place(self, path):
        """(folder, name) of a path whose folder exists."""
        *folders, name = path.split("/")
        at = self.root
        for folder in folders:
            at = self.live[at][folder]
        return at, name

    def find(self, path):
        at, name = self.place(path)
        return self.live[at].get(name)

    def rename_entry(self, ended, removed, added, node):
        change = NameChange(ended, removed, added, node)
        change.apply(self.live)
        self.changes.append(change)

    def do_open(self, operation):
        node = self.find(operation.path)
        if node is None:
            assert operation.create, f"{operation.path} is opened and nobody made it"
            node = File()
            self.rename_entry(operation.ended, None, self.place(operation.path), node)
        elif operation.truncate:
            node.change(operation.ended, 0, None)
        self.handles[operation.handle] = node
        return operation.create or operation.truncate

    def do_write(self, operation):
        node = self.handles[operation.handle]
        node.change(operation.ended, node.size() if operation.offset is None else operation.offset, operation.data)

    def do_extend(self, operation):
        node = self.handles[operation.handle]
        if operation.offset <= node.size():
            return False
        node.change(operation.ended, operation.offset, None)
        return True

    def do_resize(self, operation):
        self.handles[operation.handle].change(operation.ended, operation.offset, None)

    def do_sync(self, operation):
        self.handles[operation.handle].sync(operation.begun)

    def do_make_directory(self, operation):
        folder = Folder()
        self.live[folder] = {}
        self.rename_entry(operation.ended, None, self.place(operation.path), folder)

    def do_rename(self, operation):
        node = self.find(operation.path)
        if node is not self.find(operation.to):  # two names of one file: the system does nothing and calls it a success
            self.rename_entry(operation.ended, self.place(operation.path), self.place(operation.to), node)

    def do_link(self, operation):
        self.rename_entry(operation.ended, None, self.place(operation.to), self.find(operation.path))

    def do_unlink(self, operation):
        self.rename_entry(operation.ended, self.place(operation.path), None, None)

    def do_plant(self, operation):
        """A file by another hand, durable from the start."""
        at, name = self.place(operation.path)
        self.live[at][name] = File(operation.data)
        self.durable.setdefault(at, {})[name] = self.live[at][name]

    def do_sync_directory(self, operation):
        folder = self.root if operation.path == "." else self.find(operation.path)
        for change in self.changes:
            if change.ended < operation.begun and change.touches(folder):
                change.durable = True
        # The order counts where two changes are about one name, so only a whole beginning is ever folded in.
        while self.changes and self.changes[0].durable:
            self.changes.pop(0).apply(self.durable)

    # ---- what may be left

    def tree(self, names, variant=lambda file: FULL):
        """Path -> content, None for a folder."""
        found = {}

        def walk(folder, prefix):
            for name, node in names.get(folder, {}).items():
                if isinstance(node, File):
                    found[prefix + name] = node.variant(variant(node))
                else:
                    found[prefix + name] = None
                    walk(node, posixpath.join(prefix, name) + "/")

        walk(self.root, "")
        return found

    def live_tree(self):
        return self.tree(self.live)

    def crash_trees(self):
        """Every state that a power cut at this moment may leave, as far as they are looked at: see subsets()."""
        waiting = [change for change in self.changes if not change.durable]
        for applied in subsets(len(waiting)):
            chosen = {id(change) for change, yes in zip(waiting, applied) if yes}
            names = {folder: dict(entries) for folder, entries in self.durable.items()}
            for change in self.changes:
                if change.durable or id(change) in chosen:
                    change.apply(names)
            yield from self.trees_by_content(names)

    def trees_by_content(self, names):
        dirty = {node for entries in names.values() for node in entries.values()
                 if isinstance(node, File) and node.pending}
        for which in (FULL, DURABLE, HALF, ZEROS) if dirty else (FULL,):
            yield self.tree(names, lambda file, which=which: which)
        if len(dirty) > 1:
            for one in dirty:
                for which in (DURABLE, HALF, ZEROS):
                    yield self.tree(names, lambda file, one=one, which=which: which if file is one else FULL)


def subsets(count):
    """Which of `count` pending changes came through: every subset where they are few; else none, all, every beginning,
    each one alone, each one missing."""
    if count <= ALL_SUBSETS_UP_TO:
        return [[bool(mask >> i & 1) for i in range(count)] for mask in range(1 << count)]
    found = [[i < length for i in range(count)] for length in range(count + 1)]
    found += [[i == one for i in range(count)] for one in range(count)]
    found += [[i != one for i in range(count)] for one in range(count)]
    return found
