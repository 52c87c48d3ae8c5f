"""The network, the server, and other tabs."""

from __future__ import annotations

from limits.verbs.scene import ACT_MS, Scene, Tab, verb


@verb("cut")
def cut(scene: Scene) -> None:
    """cut the network"""
    scene.network.cut()


@verb("restore")
def restore(scene: Scene) -> None:
    """restore the network"""
    scene.network.restore()


@verb("wait")
def wait(scene: Scene, seconds: float) -> None:
    """wait"""
    scene.tab.page.wait_for_timeout(seconds * 1000)


@verb("restart the server")
def restart_the_server(scene: Scene) -> None:
    """restart the server"""
    scene.visit.running.restart()


@verb("reload")
def reload(scene: Scene) -> None:
    """reload the page"""
    scene.tab.page.reload()
    scene.tab.chat = scene.visit.subject.driver(scene.tab.page).ready()


@verb("open a tab")
def open_a_tab(scene: Scene) -> None:
    """open a second tab"""
    page = scene.tab.page.context.new_page()
    page.set_default_timeout(ACT_MS)
    scene.tab = Tab(page, scene.visit.open(page))
    scene.tabs.append(scene.tab)


@verb("go to tab")
def go_to_tab(scene: Scene, number: int) -> None:
    """go to another tab"""
    scene.tab = scene.tabs[number - 1]
    scene.tab.page.bring_to_front()
