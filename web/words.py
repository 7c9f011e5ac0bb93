"""What the page says, in English and Chinese."""

from __future__ import annotations

ENGLISH, CHINESE = "English", "中文"
LANGUAGES = (ENGLISH, CHINESE)

WORDS = {
    ENGLISH: {
        "title": "# Depth from one picture",
        "intro": "Bright is near, dark is far. Everything stays on this machine.",
        "picture_tab": "Picture",
        "video_tab": "Video",
        "live_tab": "Live camera",
        "picture": "Picture: drop, paste or photograph",
        "slider": "Picture | depth",
        "clicked": "Depth: click for the value at a point, twice for a distance",
        "value": "At the point",
        "colormap": "Colours",
        "model": "Model",
        "angle": "Camera's angle of view, degrees across",
        "more": "3D view and downloads",
        "view": "3D view",
        "files": "Files: depth in colours (PNG), numbers (NPY), points (PLY), mesh (GLB)",
        "examples": "Examples",
        "video": "Video",
        "video_depth": "Its depth",
        "side": "beside the source",
        "start": "Predict the video",
        "camera": "Camera",
        "camera_depth": "Its depth",
        "near": "near",
        "far": "far",
        "relative": "relative depth, no unit",
        "inverse": "relative inverse depth",
        "metres": "metres",
        "point": "x {x}, y {y}: depth {depth}",
        "infinite": "beyond all measure",
        "distance": "{distance} between the last two points ({camera})",
        "no_distance": "the model has no unit: no distance in metres",
        "unreadable": "This cannot be read as a picture: {detail}",
        "too_large": "This has {width} x {height} pixels; at most {limit} million are taken.",
        "no_video": "This video cannot be used: {detail}",
        "too_long": "This video has {frames} frames; at most {limit} are taken.",
        "too_slow": "This took more than {limit} seconds and was stopped.",
        "gone": "This result is no longer kept; predict the picture again.",
        "no_picture": "There is no picture yet.",
    },
    CHINESE: {
        "title": "# 单张图片的深度",
        "intro": "亮的近，暗的远。所有数据都留在这台机器上。",
        "picture_tab": "图片",
        "video_tab": "视频",
        "live_tab": "实时摄像头",
        "picture": "图片：拖入、粘贴或拍摄",
        "slider": "图片 | 深度",
        "clicked": "深度：点击查看某点的数值，点两次得到距离",
        "value": "该点",
        "colormap": "配色",
        "model": "模型",
        "angle": "相机水平视角（度）",
        "more": "三维视图与下载",
        "view": "三维视图",
        "files": "文件：彩色深度 (PNG)、数值 (NPY)、点云 (PLY)、网格 (GLB)",
        "examples": "示例",
        "video": "视频",
        "video_depth": "视频的深度",
        "side": "与原视频并排",
        "start": "预测视频",
        "camera": "摄像头",
        "camera_depth": "摄像头的深度",
        "near": "近",
        "far": "远",
        "relative": "相对深度，没有单位",
        "inverse": "相对逆深度",
        "metres": "米",
        "point": "x {x}，y {y}：深度 {depth}",
        "infinite": "无穷远",
        "distance": "最后两点相距 {distance}（{camera}）",
        "no_distance": "该模型没有单位，无法给出以米计的距离",
        "unreadable": "无法作为图片读取：{detail}",
        "too_large": "图片有 {width} x {height} 像素，最多 {limit} 百万。",
        "no_video": "无法使用该视频：{detail}",
        "too_long": "视频有 {frames} 帧，最多 {limit} 帧。",
        "too_slow": "处理超过 {limit} 秒，已停止。",
        "gone": "该结果已不再保留，请重新预测图片。",
        "no_picture": "还没有图片。",
    },
}


def say(language: str, key: str, **values: object) -> str:
    """A sentence in a language, English for one that is not there."""
    return WORDS.get(language, WORDS[ENGLISH])[key].format(**values)


def language_of(header: str) -> str:
    """The language that a browser asks for in its ``Accept-Language``."""
    return CHINESE if header.strip().lower().startswith("zh") else ENGLISH
