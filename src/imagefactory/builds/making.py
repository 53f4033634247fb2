"""Makes one image: template, plan, steps, body."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from imagefactory.builds.events import BuildLog, Reporter
from imagefactory.builds.measuring import Measuring
from imagefactory.builds.planner import is_snapshot, pushed_by
from imagefactory.builds.provenance import Notary
from imagefactory.builds.recall import Recall
from imagefactory.builds.scratch import Scratch
from imagefactory.builds.settle import Outcome
from imagefactory.builds.work import Record
from imagefactory.builds.workshop import Workshop
from imagefactory.core.errors import BuildError
from imagefactory.core.images import BaseImage, Image, ProviderImage, Status, TargetImage
from imagefactory.core.parameters import Parameters
from imagefactory.core.template import Template, parse, require_root_password
from imagefactory.engine.command import Cancellation, Tools
from imagefactory.engine.installer.debian import wants_installer
from imagefactory.engine.plan import Build, Other, Plan, execute, names
from imagefactory.store.rows import Body

LIVES: Final = 5  #: attempts that may end with the death of the process
_ICICLE: Final = "icicle.xml"


@dataclass(frozen=True, kw_only=True)
class Making:
    """One life of one build. All that it leaves behind for the next lies in the scratch folder."""

    workshop: Workshop
    image: Image
    scratch: Scratch
    artifacts: Path
    log: BuildLog
    cancellation: Cancellation
    record: Record

    def run(self) -> Outcome:
        """Build the image up to its sealed body; a finished step of an earlier life is not repeated."""
        self.scratch.prepare()
        if self.scratch.begin_life() > LIVES:
            msg = f'The build of "{self.image.id}" has brought the worker down {LIVES} times'
            raise BuildError(msg, hint="Look at the log of the factory, then retry the image")
        plan = self._plan(self._template())
        self._compare(plan)
        with ExitStack() as cleanup:
            build = self._build(cleanup)
            recall = self._recall(build, plan)
            measuring = Measuring(build.disk, cleanup)
            record = self._resumed(plan, recall, measuring)
            execute(plan, build, record=record)
            if not isinstance(self.image, ProviderImage):
                self._seal(build, recall, measuring)
            Notary(workshop=self.workshop, image=self.image).attest(build, plan)
        return self._outcome(build)

    def _template(self) -> Template:
        if self.image.template is None:
            msg = f'The {self.image.title} "{self.image.id}" has no template'
            raise BuildError(msg)
        template = parse(self.image.template)
        if self.workshop.config.tdl_require_root_pw and isinstance(self.image, BaseImage):
            require_root_password(template)
        return template

    def _plan(self, template: Template) -> Plan:
        planner, parameters = self.workshop.planner, Parameters(self.image.parameters or {})
        match self.image:
            case BaseImage():
                return planner.base(template, parameters)
            case TargetImage(target=target):
                parent = self._parent()
                source = parent.target if isinstance(parent, TargetImage) else None
                return planner.target(
                    target, template, parameters, source=source, installed=_installed(parent)
                )
            case ProviderImage(credentials_ref=str(ref)) as image:
                return planner.provider(image, self.workshop.vault.get(ref))
            case image:
                msg = f'The credentials of the {image.title} "{image.id}" are not kept any more'
                raise BuildError(msg, hint="Ask for a new one")

    def _compare(self, plan: Plan) -> None:
        """Refuse to go on with steps that an older program has planned otherwise."""
        kinds = [type(step).__name__ for step in plan]
        if self.record("plan", lambda: kinds) != kinds:
            msg = f'The build of "{self.image.id}" was begun by another version of the program'
            raise BuildError(msg, hint="Retry the image")

    def _recall(self, build: Build, plan: Plan) -> Recall | None:
        """Where the disk may be found that another build has made; None when it is not to be."""
        if not build.reuse or not isinstance(self.image, BaseImage):
            return None
        return Recall(bodies=self.workshop.bodies, build=build, plan=plan)

    def _resumed(
        self, plan: Plan, recall: Recall | None, measuring: Measuring
    ) -> Callable[[str, Callable[[], None]], None]:
        """`record`, which leaves out what an earlier attempt has finished in this folder too."""
        known = dict(zip(names(plan), plan, strict=True))
        steps = {name: [name, step.key] for name, step in zip(names(plan), plan, strict=True)}
        count = self.record("resume", lambda: self._resume(list(steps.values())))
        resumed = list(steps)[:count]

        def record(name: str, action: Callable[[], None]) -> None:
            def once() -> None:
                if name in resumed:
                    self.log(f"== {name} was finished by an earlier attempt")
                elif recall is None or not recall.spares(known[name]):
                    action()
                    if recall is not None and known[name] == plan[0]:
                        recall.look()
                    self.scratch.note_finished(steps[name])

            self.record(name, once)
            following = plan[list(known).index(name) + 1 :]
            if self.workshop.bodies.plain and following and not any(s.writes for s in following):
                measuring.begin()

        return record

    def _resume(self, steps: list[list[str]]) -> int:
        """How many of these steps are finished here; what others have left is of no use, and removed."""
        finished = self.scratch.finished()
        if finished != steps[: len(finished)]:
            self.scratch.clear()
            self.scratch.prepare()
            self.scratch.begin_life()
            return 0
        return len(finished)

    def _build(self, cleanup: ExitStack) -> Build:
        config, image = self.workshop.config, self.image
        config.cache.mkdir(parents=True, exist_ok=True)
        return Build(
            id=image.id,
            state=config.state,
            scratch=self.scratch.folder,
            cache=config.cache,
            artifacts=self.artifacts,
            tools=Tools(
                log=self.log,
                cancellation=self.cancellation,
                limit=self.workshop.config.timeout,
            ),
            report=Reporter(
                image.id,
                store=self.workshop.store,
                log=self.log,
                cancellation=self.cancellation,
            ),
            source=self._source(),
            other=self._other,
            mirrors=config.mirrors,
            keyrings=config.keyrings,
            snapshots=config.snapshots,
            reuse=Parameters(image.parameters or {}).boolean("reuse", default=True),
            cleanup=cleanup,
        )

    def _source(self) -> Path | None:
        if isinstance(self.image, BaseImage) or is_snapshot(self.image):
            return None
        parent, bodies = self._parent(), self.workshop.bodies
        if parent is None or bodies.size(parent.id) is None:
            msg = f'The image that the {self.image.title} "{self.image.id}" is made from is gone'
            raise BuildError(msg)
        body = bodies.path(parent.id)
        if body.exists():
            return self.scratch.source(body)
        return self.scratch.unpacked_source(partial(bodies.write_plain, parent.id))

    def _other(self, image_id: str) -> Other:
        """An image that the plan names; a body that is no file of its own is unpacked."""
        image, bodies = self.workshop.store.get(image_id), self.workshop.bodies
        if image is None or image.status is not Status.COMPLETE or bodies.size(image_id) is None:
            msg = f'There is no image "{image_id}" that is complete'
            raise BuildError(msg, hint="Build it first")
        password = None if image.template is None else parse(image.template).os.rootpw
        body = bodies.path(image_id)
        if not body.exists():
            body = self.scratch.folder / "other"
            body.unlink(missing_ok=True)
            bodies.write_plain(image_id, body)
        return Other(body=body, password=password)

    def _parent(self) -> Image | None:
        parent_id = self.image.parent_id
        return None if parent_id is None else self.workshop.store.get(parent_id)

    def _seal(self, build: Build, recall: Recall | None, measuring: Measuring) -> None:
        def seal() -> None:
            build.report(99, "Sealing the image")
            found = None if recall is None else recall.body()
            bodies = self.workshop.bodies
            self.scratch.drop_source()
            found = found or self._inherited(build)
            body = found or bodies.seal(build.id, build.disk, known=measuring.result())
            if recall is not None and found is None:
                recall.keep(body)
            self.workshop.store.keep_body(build.id, body)

        self.record("seal", seal)

    def _inherited(self, build: Build) -> Body | None:
        """The parent's body, where the disk is that and nothing else: its digest is known."""
        parent = self._parent()
        known = None if parent is None else self.workshop.store.body(parent.id)
        if parent is None or known is None:
            return None
        return known if self.workshop.bodies.inherit(parent.id, build.id, build.disk) else None

    def _outcome(self, build: Build) -> Outcome:
        icicle, parent = build.artifacts / _ICICLE, self._parent()
        return Outcome(
            icicle=icicle.read_text() if icicle.exists() else parent.icicle if parent else None,
            properties=build.notes(),
            pushed=pushed_by(build) if isinstance(self.image, ProviderImage) else None,
        )


def _installed(parent: Image | None) -> bool:
    """Whether the distribution's own installer has made the disk."""
    return parent is not None and wants_installer(Parameters(parent.parameters or {}))
